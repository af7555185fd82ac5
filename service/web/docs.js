// The interface's description at /docs, shown by Swagger UI, which is vendored: nothing is loaded from elsewhere.

// Swagger UI fills each field of a form with a made-up sample, and sends it. Only what has a default is filled in here.
const emptyForms = {
  afterLoad() {
    const sample = this.fn.getSampleSchema;
    this.fn.getSampleSchema = (schema, mediaType, ...others) => {
      const plain = schema?.toJS?.() ?? schema;
      if (mediaType !== false || plain?.default !== undefined) return sample(schema, mediaType, ...others);
      return plain?.type === "array" ? "[]" : "";
    };
  },
};

window.SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#docs",
  deepLinking: true,
  validatorUrl: null, // its badge would come from swagger.io
  plugins: [emptyForms],
});
