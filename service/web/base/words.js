// How facts are put into words.

const whole = new Intl.NumberFormat("en");
const closeness = new Intl.NumberFormat("en", { maximumSignificantDigits: 3, minimumSignificantDigits: 3 });

/** 2000 -> "2,000". */
export function count(number) {
  return whole.format(number);
}

/** "1 shoe", "2,000 shoes". */
export function shoes(number) {
  return `${count(number)} ${number === 1 ? "shoe" : "shoes"}`;
}

/** Score below which two shoes are not called similar. */
export const RELATED = 0.2;

/** Least scores of how near a shoe is in words: see `score` of the interface. */
const NEARNESS = [
  [0.75, "Very close"],
  [0.45, "Close"],
  [RELATED, "Related"],
  [0, "Distant"],
];

/** 0.9 -> "Very close". */
export function nearness(score) {
  return NEARNESS.find(([least]) => score >= least)?.[1] ?? "Distant";
}

/** 1.23456 -> "1.23"; distances have no unit. */
export function distance(number) {
  // Two passes through the network differ in the last bits: what rounds to nothing is shown as nothing.
  return closeness.format(number < 0.005 ? 0 : number);
}

/** 20971520 -> "20 MB". */
export function megabytes(bytes) {
  return `${closeness.format(bytes / 2 ** 20).replace(/\.?0+$/, "")} MB`;
}

/** "HeelHeight" -> "Heel height"; "toe_style" -> "Toe style". */
export function label(key) {
  const spaced = key.replace(/([a-z0-9])([A-Z])/g, "$1 $2").replaceAll("_", " ").toLowerCase();
  return spaced.charAt(0).toUpperCase() + spaced.slice(1);
}

/** The slices of a vector that no attribute orders: see docs/architecture.md. */
const SLICES = new Map([
  ["shoe", "Individual look"],
  ["free", "Remaining look"],
]);

/** The words for a slice of a vector: those of the condition that it is ordered by, if it is. */
export function slice(name) {
  return SLICES.get(name) ?? label(name);
}

/** "JPEG", "PNG", "WEBP" -> "JPEG, PNG or WEBP". */
export function choice(words) {
  return words.length < 2 ? words.join("") : `${words.slice(0, -1).join(", ")} or ${words.at(-1)}`;
}

/** A service's message as a sentence: "no such shoe" -> "No such shoe." */
export function sentence(text) {
  const begun = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?…]$/.test(begun) ? begun : `${begun}.`;
}

const isTitle = (key) => /^(title|name|product[ _-]?(display[ _-]?)?name|titel|bezeichnung)$/i.test(key);
const isPrice = (key) => /^(variant[ _-]?)?(sale[ _-]?)?(price|preis)/i.test(key);
const isLink = (text) => /^(https?:)?\/\/|^www\./i.test(text);

/** Attribute keys with what a shoe is called before what it *is* (Category, SubCategory), and what else is known of it. */
export function kindFirst(keys) {
  const isKind = (key) => /category$/i.test(key);
  const titles = keys.filter(isTitle);
  const kinds = keys.filter(isKind).sort((one, other) => one.length - other.length);
  return [...titles, ...kinds, ...keys.filter((key) => !isKind(key) && !isTitle(key))];
}

/** A shoe's attributes as [key, values] pairs, in the order of `keys`, any others last. */
export function attributesOf(shoe, keys) {
  const known = keys.filter((key) => shoe.attributes[key]?.length);
  const others = Object.keys(shoe.attributes).filter((key) => !keys.includes(key) && shoe.attributes[key].length);
  return [...known, ...others].map((key) => [key, shoe.attributes[key]]);
}

/** A shoe's name and the line below it; one without attributes goes by its id. */
export function describe(shoe, keys) {
  const told = factsOf(shoe, keys);
  const values = told.map(([, each]) => each.join(", "));
  if (!values.length) return { name: shoe.id, details: "", all: `Shoe ${shoe.id}` };
  if (isTitle(told[0][0])) return { name: values[0], details: values.slice(1).join(" · "), all: values.join(", ") };
  const [first, second] = values;
  // A kind that already says its family ("Shoes", "Casual Shoes") need not say it twice.
  const repeats = second !== undefined && second.toLowerCase().includes(first.toLowerCase());
  const name = second === undefined ? first : repeats ? second : `${first}, ${second}`;
  return { name, details: values.slice(2).join(" · "), all: [name, ...values.slice(2)].join(", ") };
}

/** What a shop says of a shoe: {price, link}, each null where the catalogue has none. */
export function offerOf(shoe) {
  const entries = Object.entries(shoe.attributes);
  const [, price] = entries.find(([key, values]) => isPrice(key) && values.length === 1) ?? [];
  const address = entries.flatMap(([, values]) => values).find((text) => /^https?:/i.test(text));
  // A bare number says more with its name.
  const named = price && (/^[\d.,\s]+$/.test(price[0]) ? `Price ${price[0]}` : price[0]);
  return { price: named ?? null, link: address ?? null };
}

/** Whether an attribute is a link or an address, which is not shown as text. */
export function isAddress(values) {
  return values.some(isLink);
}

/** A shoe's attributes but for its links and its price, which are shown in other ways. */
export function factsOf(shoe, keys) {
  return attributesOf(shoe, keys).filter(([key, values]) => !isPrice(key) && !isAddress(values));
}
