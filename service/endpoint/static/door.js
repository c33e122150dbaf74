// Asking the endpoint, with a token where it wants one: a person is asked for it, and it stays in this tab only.

const KEPT = "fusegpt-token";

// As fetch; where the token is missing or not known it waits until a person has entered another.
export async function request(path, options = {}) {
  for (;;) {
    const token = sessionStorage.getItem(KEPT);
    const answer = await fetch(path, token ? { ...options, headers: { Authorization: `Bearer ${token}` } } : options);
    if (answer.status !== 401) return answer;
    await entered(token ? (await answer.json()).detail : "");
  }
}

export const guarded = () => sessionStorage.getItem(KEPT) !== null;

let waiting = null;

// Several may wait at once; one form is shown.
function entered(refused) {
  waiting ??= new Promise((resolve) => {
    const door = form(refused);
    document.querySelector("main").before(door);
    door.querySelector("input").focus();
    door.addEventListener("submit", (event) => {
      event.preventDefault();
      sessionStorage.setItem(KEPT, door.querySelector("input").value.trim());
      door.remove();
      waiting = null;
      resolve();
    });
  });
  return waiting;
}

function form(refused) {
  const made = document.createElement("form"), label = document.createElement("label"), button = document.createElement("button");
  const input = Object.assign(document.createElement("input"), { type: "password", id: "token", autocomplete: "off", required: true });
  label.className = "field";
  label.append(line("span", "Token"), line("small", "Your token for this endpoint. It stays in this tab and is forgotten when the tab is closed."), input);
  Object.assign(button, { type: "submit", className: "main", textContent: "Enter" });
  const wrong = Object.assign(line("p", refused), { className: "wrong" });
  wrong.setAttribute("role", "alert");
  Object.assign(made, { id: "door", className: "panel" }).append(label, button, wrong);
  return made;
}

function line(tag, text) {
  return Object.assign(document.createElement(tag), { textContent: text });
}
