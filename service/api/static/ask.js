// What every part of the page asks the API with: the token that a person entered, kept in this tab only.

const KEPT = "fusegpt-token";

export class Refused extends Error {}

export const token = {
  get: () => sessionStorage.getItem(KEPT),
  keep: (written) => sessionStorage.setItem(KEPT, written),
  forget: () => sessionStorage.removeItem(KEPT),
};

export async function ask(path, method = "GET", body = null) {
  const headers = token.get() ? { Authorization: `Bearer ${token.get()}` } : {};
  if (body) headers["Content-Type"] = "application/json";
  const answer = await fetch(path, { method, headers, cache: "no-store", body: body && JSON.stringify(body) });
  if (answer.status === 401) throw new Refused((await answer.json()).detail);
  if (!answer.ok) throw new Error((await answer.json().catch(() => ({}))).detail ?? `the service answered ${answer.status}`);
  return answer.json();
}

// Text, never markup.
export function element(tag, content = "", className = "") {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.append(...(Array.isArray(content) ? content : [String(content)]));
  return made;
}

export function button(text, pressed, className = "") {
  const made = element("button", text, className);
  made.type = "button";
  made.addEventListener("click", pressed);
  return made;
}

export const number = (value) => (value === null || value === undefined ? "-" : Number(value.toPrecision(4)).toString());
