// The operations of an OpenAPI page as panels. Everything told becomes text, never markup.

export function element(tag, text = "", attributes = {}) {
  const made = document.createElement(tag);
  made.textContent = text;
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

export function operations(page) {
  return Object.entries(page.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, told]) => operation(method, path, told, page)));
}

function operation(method, path, told, page) {
  const panel = element("section", "", { class: "panel", id: told.operationId ?? `${method} ${path}` });
  const title = element("h2");
  title.append(element("span", method.toUpperCase(), { class: "method" }), element("code", path));
  panel.append(title, element("div", told.description ?? told.summary ?? "", { class: "quiet" }));
  if (told.parameters?.length) panel.append(element("h2", "Parameters"), table(told.parameters.map(parameter)));
  for (const [kind, { schema }] of Object.entries(told.requestBody?.content ?? {})) panel.append(element("h2", `Fields (${kind})`), fields(schema, page));
  const answer = resolved(told.responses?.["200"]?.content?.["application/json"]?.schema ?? told.responses?.["201"]?.content?.["application/json"]?.schema, page);
  if (answer.properties) panel.append(element("h2", answer.list ? "Answer, a list of" : "Answer"), fields(answer, page));
  const errors = Object.entries(told.responses ?? {}).filter(([status]) => status >= "300");
  if (errors.length) panel.append(element("h2", "Errors"), table(errors.map(([status, { description }]) => [status, description])));
  return panel;
}

const parameter = ({ name, in: where, required, description }) => [name, `${where}${required ? ", required" : ""}. ${description ?? ""}`];

function fields(schema, page) {
  return table(Object.entries(resolved(schema, page).properties ?? {}).map(([name, field]) => [name, field.description ?? field.type ?? ""]));
}

// A schema as it is written out elsewhere in the page; of a list, what is in it.
function resolved(schema = {}, page) {
  if (schema.$ref) return resolved(schema.$ref.slice(2).split("/").reduce((inner, key) => inner?.[key], page), page);
  return schema.items?.$ref ? { ...resolved(schema.items, page), list: true } : schema;
}

function table(rows) {
  const made = element("table");
  for (const [name, value] of rows) {
    const line = element("tr");
    line.append(element("th", name, { scope: "row" }), element("td", value));
    made.append(line);
  }
  const scroll = element("div", "", { class: "scroll" });
  scroll.append(made);
  return scroll;
}
