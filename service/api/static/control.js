// What a person may do to a job and to its trials. Each deed is asked for twice.
import { ask, button, element } from "./ask.js";

// As the API has it: what each word needs of a job's state.
const WORDS = {
  pause: ["queued", "starting", "running"],
  resume: ["paused", "stopped", "failed"],
  cancel: ["queued", "starting", "running", "pausing", "paused"],
};
const ENDED = ["succeeded", "stopped", "failed"];
const ASKS = {
  pause: "Pause? Its trials keep their state; what they hold is free for others.",
  resume: "Resume? It waits for its turn, and goes on from where it was.",
  cancel: "Cancel? Its trials end where they are, and what they hold is free for others.",
};

export class Control {
  // `again` draws the page anew.
  constructor(again) {
    this.again = again;
    this.caller = { name: "", role: "viewer" };
    this.asking = new Map(); // job id -> what is being asked: {path, text, had}
    this.said = new Map(); // job id -> what went wrong
  }

  may(job) {
    return this.caller.role === "admin" || (this.caller.role === "submitter" && job.owner === this.caller.name);
  }

  // What of this a card depends on.
  state(job) {
    return [this.may(job), this.asking.get(job.id), this.said.get(job.id)];
  }

  // The buttons of a job, or the question that one of them has raised. `planned`: the trials that its search has.
  row(job, planned) {
    if (!this.may(job)) return null;
    const asked = this.asking.get(job.id), wrong = this.said.get(job.id);
    const words = Object.keys(WORDS).filter((word) => WORDS[word].includes(job.state));
    const path = (word) => `v1/jobs/${encodeURIComponent(job.id)}/${word}`;
    const buttons = words.map((word) => button(word[0].toUpperCase() + word.slice(1), () => this.raise(job, path(word), ASKS[word])));
    if (planned && ENDED.includes(job.state)) buttons.push(button("More trials", () => this.raise(job, path("resume"), `more trials than the ${planned} that it had? It waits for its turn, and keeps what it found.`, planned)));
    const parts = asked ? this.question(job, asked) : buttons;
    if (wrong) parts.push(element("span", wrong, "wrong"));
    return parts.length ? element("div", parts, "row actions") : null;
  }

  trial(job, trial) {
    if (!this.may(job) || trial.state !== "running" || !["starting", "running"].includes(job.state)) return null;
    const path = `v1/jobs/${encodeURIComponent(job.id)}/trials/${trial.number}/cancel`;
    const made = button("Cancel", () => this.raise(job, path, `Cancel ${trial.id}? What it holds goes to the next trial.`), "small");
    made.setAttribute("aria-label", `Cancel ${trial.id}`);
    return made;
  }

  // With `had`, how many trials more than so many is a part of the question.
  question(job, { path, text, had }) {
    const more = had ? this.amount() : null;
    const go = () => this.act(job, path, more ? { budget: { trials: had + more.valueAsNumber } } : null);
    const yes = button("Yes", () => { if (!more || more.reportValidity()) go(); }, "main");
    const no = button("No", () => { this.asking.delete(job.id); this.again(); });
    const asked = element("span", text);
    asked.setAttribute("role", "alert");
    return more ? ["Go on with", more, asked, yes, no] : [asked, yes, no];
  }

  amount() {
    const field = element("input");
    Object.assign(field, { type: "number", min: 1, max: 10000, step: 1, required: true, value: 8 });
    field.setAttribute("aria-label", "How many more trials");
    return field;
  }

  raise(job, path, text, had = 0) {
    this.asking.set(job.id, { path, text, had });
    this.said.delete(job.id);
    this.again();
  }

  async act(job, path, body) {
    this.asking.delete(job.id);
    try {
      await ask(path, "POST", body);
    } catch (error) {
      this.said.set(job.id, error.message);
    }
    this.again();
  }
}
