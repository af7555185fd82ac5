// data: addresses, read without a request: the page's policy lets it fetch from the service only.

const BASE64 = /^data:(image\/[a-z0-9.+-]+)(?:;[^,;]*)*;base64,([a-z0-9+/=\s]+)$/i;

/** The picture that a data: address holds, as a blob; null if it holds none. */
export function toBlob(address) {
  const [, type, text] = BASE64.exec(address) ?? [];
  if (!text) return null;
  try {
    return new Blob([Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0))], { type });
  } catch {
    return null;
  }
}

/** A blob as a data: address. */
export function fromBlob(blob) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.addEventListener("load", () => resolve(reader.result));
    reader.addEventListener("error", () => reject(reader.error));
    reader.readAsDataURL(blob);
  });
}
