// The page of jobs: asks the API every few seconds and draws what it says. Everything told becomes text, never markup.

const SOON_MS = 2000, LATER_MS = 20000, PAGE = 30;
const KEPT = "fusegpt-token";
const ACTIVE = new Set(["starting", "running", "pausing", "stopping"]);

const at = (id) => document.getElementById(id);
const shown = { limit: PAGE, open: new Set(), champions: new Map(), cards: new Map(), looked: 0 };
let next = 0;

class Refused extends Error {}

function element(tag, content = "", className = "") {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.append(...(Array.isArray(content) ? content : [String(content)]));
  return made;
}

async function ask(path) {
  const token = sessionStorage.getItem(KEPT);
  const answer = await fetch(path, { headers: token ? { Authorization: `Bearer ${token}` } : {}, cache: "no-store" });
  if (answer.status === 401) throw new Refused((await answer.json()).detail);
  if (!answer.ok) throw new Error((await answer.json().catch(() => ({}))).detail ?? `the service answered ${answer.status}`);
  return answer.json();
}

const number = (value) => (value === null || value === undefined ? "-" : Number(value.toPrecision(4)).toString());
const time = (written) => new Date(written).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
const settings = (drawn) => Object.entries(drawn).map(([key, value]) => `${key} ${typeof value === "number" ? number(value) : value}`).join(", ");

function figure(metric, best) {
  return element("span", [element("strong", number(best)), ` ${metric}`], "figure");
}

// The card drawn before, where nothing of it has changed: what a person has selected or focused stays so.
function cardOf(job, progress, trials) {
  const told = JSON.stringify([job, progress, trials]), before = shown.cards.get(job.id);
  if (before?.told === told) return before.card;
  const card = jobCard(job, progress, trials);
  shown.cards.set(job.id, { told, card });
  return card;
}

function jobCard(job, progress, trials) {
  const card = element("li");
  const head = element("div", [element("h3", job.name), element("span", job.state, `state ${job.state}`)], "row");
  const metric = progress?.metric || job.result.metric, best = progress?.best ?? job.result.best;
  if (metric && best !== null && best !== undefined) head.append(figure(metric, best));
  card.append(head);
  if (job.reason) card.append(element("p", job.reason, job.state === "failed" ? "wrong" : ""));
  if (progress?.planned) card.append(...progressLines(progress));
  const drawn = progress?.trial ? progress : { trial: job.result.trial, drawn: job.result.drawn };
  if (drawn.trial) card.append(element("p", `best: ${drawn.trial} with ${settings(drawn.drawn ?? {}) || "the default settings"}`, "quiet"));
  if (job.result.version) card.append(element("p", `version ${job.result.version} of ${job.result.model}${job.result.gate ? `: ${job.result.gate}` : ""}`, "quiet"));
  const by = job.owner ? ` by ${job.owner}` : "";
  card.append(element("p", `${job.experiment}, submitted${by} ${time(job.created)}, ${job.cpus} CPU, ${job.gpus} GPU`, "quiet"));
  card.append(trialFold(job, trials));
  return card;
}

function progressLines(progress) {
  const bar = element("progress");
  const running = progress.states.running ?? 0;
  const done = Object.values(progress.states).reduce((sum, count) => sum + count, 0) - running;
  bar.max = progress.planned;
  bar.value = done;
  bar.setAttribute("aria-label", "Trials that have ended");
  return [bar, element("p", `${done} of ${progress.planned} trials ended, ${running} running`, "quiet")];
}

function trialFold(job, trials) {
  const fold = element("details", [element("summary", "Trials")]);
  fold.open = shown.open.has(job.id);
  fold.addEventListener("toggle", () => {
    if (fold.open === shown.open.has(job.id)) return;
    fold.open ? shown.open.add(job.id) : shown.open.delete(job.id);
    soon(0);
  });
  if (trials) fold.append(element("div", [trialTable(trials)], "scroll"));
  return fold;
}

function trialTable(trials) {
  if (!trials.length) return element("p", "None has begun.", "quiet");
  const row = (tag, cells) => element("tr", cells.map((cell) => element(tag, cell)));
  const lines = trials.map((trial) => row("td", [trial.id, trial.state, trial.epoch, number(trial.best), trial.error || settings(trial.drawn)]));
  return element("table", [row("th", ["Trial", "State", "Epoch", "Best", "Settings"]), ...lines]);
}

function championCard(champion) {
  const figures = Object.entries(champion.metrics).slice(0, 3).map(([key, value]) => `${key} ${number(value)}`).join(", ");
  const lines = [element("div", [element("h3", champion.name), element("span", `champion: version ${champion.version}`, "state succeeded")], "row")];
  if (figures) lines.push(element("p", figures));
  if (champion.reason) lines.push(element("p", champion.reason, "quiet"));
  lines.push(element("p", `registered ${time(champion.created)}`, "quiet"));
  return element("article", lines);
}

function link(id, url) {
  at(id).hidden = true;
  if (!/^https?:\/\//.test(url)) return;
  const there = new URL(url);
  if (there.hostname === "0.0.0.0") there.hostname = location.hostname;
  const here = ["127.0.0.1", "localhost", "[::1]"];
  if (here.includes(there.hostname) && !here.includes(location.hostname)) return;  // not for us: another machine's own
  at(id).href = there.href;
  at(id).hidden = false;
}

async function lookAround(jobs) {
  if (Date.now() - shown.looked < LATER_MS) return;
  shown.looked = Date.now();
  const links = await ask("v1/links");
  link("mlflow", links.mlflow);
  link("endpoint", links.endpoint);
  at("kept").hidden = links.mlflow !== "";
  for (const name of new Set(jobs.map((job) => job.experiment))) {
    const versions = await ask(`v1/models/${encodeURIComponent(name)}/versions`).catch(() => []);
    shown.champions.set(name, versions.find((version) => version.champion));
  }
}

async function look() {
  const page = await ask(`v1/jobs?limit=${shown.limit}`);
  const cards = await Promise.all(page.jobs.map(async (job) => {
    const path = `v1/jobs/${encodeURIComponent(job.id)}`;
    const progress = job.state === "queued" && !job.started ? null : await ask(`${path}/progress`);
    return cardOf(job, progress, shown.open.has(job.id) ? await ask(`${path}/trials`) : null);
  }));
  const drawn = at("jobs").children;
  if (drawn.length !== cards.length || cards.some((card, place) => drawn[place] !== card)) at("jobs").replaceChildren(...cards);
  at("none").hidden = cards.length > 0;
  at("more").hidden = page.next === null || shown.limit >= 500;
  const active = page.jobs.filter((job) => ACTIVE.has(job.state)).length;
  at("counts").textContent = `${active} at work, ${page.jobs.filter((job) => job.state === "queued").length} waiting`;
  enter(true);
  await lookAround(page.jobs);
  const champions = [...shown.champions.values()].filter(Boolean);
  at("champions").replaceChildren(...champions.map(championCard));
  at("champions").hidden = !champions.length;
}

function enter(inside) {
  at("door").hidden = inside;
  at("all").hidden = !inside;
  at("leave").hidden = !inside || !sessionStorage.getItem(KEPT);
  if (!inside) at("champions").hidden = true;
}

async function turn() {
  let rest = SOON_MS;
  try {
    if (!document.hidden) await look();
    at("live").textContent = "live";
  } catch (error) {
    if (error instanceof Refused) {
      at("refused").textContent = sessionStorage.getItem(KEPT) ? error.message : "";
      at("live").textContent = "";
      sessionStorage.removeItem(KEPT);
      return enter(false);
    }
    at("live").textContent = `no answer (${error.message}); trying again`;
    rest = 2 * SOON_MS;
  }
  soon(rest);
}

function soon(milliseconds) {
  clearTimeout(next);
  next = setTimeout(turn, milliseconds);
}

at("door").addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem(KEPT, at("token").value.trim());
  at("token").value = "";
  soon(0);
});
at("leave").addEventListener("click", () => {
  sessionStorage.removeItem(KEPT);
  location.reload();
});
at("more").addEventListener("click", () => {
  shown.limit = Math.min(shown.limit + PAGE, 500);
  soon(0);
});
document.addEventListener("visibilitychange", () => document.hidden || soon(0));
turn();
