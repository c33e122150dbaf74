// The page of jobs: asks the API every few seconds and draws what it says. Everything told becomes text, never markup.
import { ask, element, number, Refused, token } from "./ask.js";
import { Control } from "./control.js";
import { plots } from "./curves.js";

const SOON_MS = 2000, LATER_MS = 20000, PAGE = 30;
const ACTIVE = new Set(["starting", "running", "pausing", "stopping"]);

const at = (id) => document.getElementById(id);
const shown = { limit: PAGE, open: new Set(), champions: new Map(), runs: new Map(), curves: new Map(), cards: new Map(), looked: 0, wanted: "", mlflow: "" };
const control = new Control(() => soon(0));
let next = 0;

const time = (written) => new Date(written).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
const settings = (drawn) => Object.entries(drawn).map(([key, value]) => `${key} ${typeof value === "number" ? number(value) : value}`).join(", ");

// ---- a job's card

function figure(metric, best) {
  return element("span", [element("strong", number(best)), ` ${metric}`], "figure");
}

// The card drawn before, where nothing of it has changed: what a person has selected or focused stays so.
function cardOf(job, progress, opened) {
  const told = JSON.stringify([job, progress, opened, control.state(job)]), before = shown.cards.get(job.id);
  if (before?.told === told) return before.card;
  const card = jobCard(job, progress, opened);
  shown.cards.set(job.id, { told, card });
  return card;
}

function jobCard(job, progress, opened) {
  const card = element("li");
  const name = element("a", job.name);
  name.href = `#${encodeURIComponent(job.name)}`;
  const head = element("div", [element("h3", [name]), element("span", job.state, `state ${job.state}`)], "row");
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
  const actions = control.row(job, progress?.planned);
  if (actions) card.append(actions);
  card.append(fold(job, progress, opened));
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

function fold(job, progress, opened) {
  const made = element("details", [element("summary", "Trials")]);
  made.open = shown.open.has(job.id);
  made.addEventListener("toggle", () => {
    if (made.open === shown.open.has(job.id)) return;
    made.open ? shown.open.add(job.id) : shown.open.delete(job.id);
    soon(0);
  });
  if (!opened) return made;
  const drawn = plots(opened.curves, progress?.metric ?? "", progress?.mode ?? "min");
  if (drawn.length) made.append(element("div", drawn, "plots"));
  if (opened.run) made.append(runLine(opened.run));
  made.append(element("div", [trialTable(job, opened.trials)], "scroll"));
  return made;
}

function runLine(run) {
  const there = reachable(run.url);
  if (!there) return element("p", `MLflow run ${run.run_id}: fusegpt browse`, "quiet");
  const link = element("a", "this search in MLflow");
  link.href = there;
  link.rel = "noopener";
  return element("p", [link, ": settings, importance, attention, every figure"], "quiet");
}

function trialTable(job, trials) {
  if (!trials.length) return element("p", "None has begun.", "quiet");
  const row = (tag, cells) => element("tr", cells.map((cell) => element(tag, cell)));
  const state = (trial) => [trial.state, " ", control.trial(job, trial) ?? ""];
  const lines = trials.map((trial) => row("td", [trial.id, state(trial), trial.epoch, number(trial.best), trial.error || settings(trial.drawn)]));
  return element("table", [row("th", ["Trial", "State", "Epoch", "Best", "Settings"]), ...lines]);
}

// ---- champions and links

function championCard({ name, baseline, champion, challenger, rollout, share, withdrawn, withdrawn_at }) {
  const lines = [element("div", [element("h3", name), element("span", champion ? `champion: version ${champion.version}` : "no champion", `state ${champion ? "succeeded" : "queued"}`)], "row")];
  if (champion) lines.push(...championLines(champion, baseline));
  if (challenger) lines.push(element("p", `challenger: version ${challenger.version}, ${rollout === "canary" ? `a canary that answers ${number(100 * share)} % of the requests` : "a shadow: its answers go to nobody"}`));
  if (withdrawn) lines.push(element("p", `version ${withdrawn.version} is out of the traffic${withdrawn_at ? ` since ${time(withdrawn_at)}` : ""}; ${withdrawn.withdrawn}`, "wrong"));
  return element("article", lines);
}

function championLines(champion, baseline) {
  const ofBaseline = (key) => baseline !== "" && key.split("/").pop().startsWith(`${baseline}_`);
  const judged = ([key, value]) => value !== null && /^(val|test)\//.test(key) && !ofBaseline(key);
  const figures = Object.entries(champion.metrics).filter(judged).slice(0, 4).map(([key, value]) => `${key} ${number(value)}`).join(", ");
  const lines = figures ? [element("p", figures)] : [];
  if (champion.reason) lines.push(element("p", `the gate: ${champion.reason}`, "quiet"));
  return [...lines, element("p", `registered ${time(champion.created)}`, "quiet")];
}

// An address that this browser can follow, or nothing: another machine's own is not for us.
function reachable(url) {
  if (!/^https?:\/\//.test(url)) return "";
  const there = new URL(url);
  if (there.hostname === "0.0.0.0") there.hostname = location.hostname;
  const here = ["127.0.0.1", "localhost", "[::1]"];
  return here.includes(there.hostname) && !here.includes(location.hostname) ? "" : there.href;
}

function link(id, url) {
  const there = reachable(url);
  at(id).hidden = !there;
  if (there) at(id).href = there;
}

async function lookAround(jobs) {
  if (Date.now() - shown.looked < LATER_MS) return;
  shown.looked = Date.now();
  const links = await ask("v1/links");
  link("mlflow", links.mlflow);
  link("endpoint", links.endpoint);
  at("kept").hidden = links.mlflow !== "";
  for (const name of new Set(jobs.map((job) => job.experiment))) {
    const lineup = await ask(`v1/models/${encodeURIComponent(name)}/lineup`).catch(() => null);
    shown.champions.set(name, lineup && (lineup.champion ?? lineup.challenger ?? lineup.withdrawn) ? lineup : null);
  }
}

// ---- looking, again and again

async function openedOf(job, path) {
  const trials = await ask(`${path}/trials`), told = JSON.stringify(trials), before = shown.curves.get(job.id);
  const curves = before?.told === told ? before.curves : await ask(`${path}/curves`);  // a long log is read when it has grown
  shown.curves.set(job.id, { told, curves });
  if (!shown.runs.has(job.id)) ask(`${path}/run`).then((run) => shown.runs.set(job.id, run)).catch(() => {});
  return { trials, curves, run: shown.runs.get(job.id) ?? null };
}

async function jobsToShow() {
  const page = await ask(`v1/jobs?limit=${shown.limit}`);
  const named = (job) => [job.id, job.name].includes(shown.wanted);
  if (shown.wanted && !page.jobs.some(named)) page.jobs.unshift(...await ask(`v1/jobs/${encodeURIComponent(shown.wanted)}`).then((job) => [job], () => []));
  const wanted = page.jobs.find(named);
  if (wanted) shown.open.add(wanted.id);
  return { ...page, wanted };
}

async function look() {
  control.caller = await ask("v1/caller");
  const page = await jobsToShow();
  const cards = await Promise.all(page.jobs.map(async (job) => {
    const path = `v1/jobs/${encodeURIComponent(job.id)}`;
    const progress = job.state === "queued" && !job.started ? null : await ask(`${path}/progress`);
    return cardOf(job, progress, shown.open.has(job.id) ? await openedOf(job, path) : null);
  }));
  const drawn = at("jobs").children;
  if (drawn.length !== cards.length || cards.some((card, place) => drawn[place] !== card)) at("jobs").replaceChildren(...cards);
  at("none").hidden = cards.length > 0;
  at("more").hidden = page.next === null || shown.limit >= 500;
  const active = page.jobs.filter((job) => ACTIVE.has(job.state)).length;
  at("counts").textContent = `${active} at work, ${page.jobs.filter((job) => job.state === "queued").length} waiting`;
  enter(true);
  if (page.wanted) {
    const card = cards[page.jobs.indexOf(page.wanted)];
    if (card.getBoundingClientRect().top > innerHeight / 2) card.scrollIntoView();
    shown.wanted = "";
  }
  await lookAround(page.jobs);
  const champions = [...shown.champions.values()].filter(Boolean);
  at("champions").replaceChildren(...champions.map(championCard));
  at("champions").hidden = !champions.length;
}

function enter(inside) {
  at("door").hidden = inside;
  at("all").hidden = !inside;
  at("leave").hidden = !inside || !token.get();
  at("who").textContent = inside && token.get() ? `${control.caller.name}, ${control.caller.role}` : "";
  if (!inside) at("champions").hidden = true;
}

async function turn() {
  let rest = SOON_MS;
  try {
    if (!document.hidden) await look();
    at("live").textContent = "live";
  } catch (error) {
    if (error instanceof Refused) {
      at("refused").textContent = token.get() ? error.message : "";
      at("live").textContent = "";
      token.forget();
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

function goTo() {
  shown.wanted = decodeURIComponent(location.hash.slice(1));
  soon(0);
}

at("door").addEventListener("submit", (event) => {
  event.preventDefault();
  token.keep(at("token").value.trim());
  at("token").value = "";
  soon(0);
});
at("leave").addEventListener("click", () => {
  token.forget();
  location.reload();
});
at("more").addEventListener("click", () => {
  shown.limit = Math.min(shown.limit + PAGE, 500);
  soon(0);
});
document.addEventListener("visibilitychange", () => document.hidden || soon(0));
addEventListener("hashchange", goTo);
goTo();
