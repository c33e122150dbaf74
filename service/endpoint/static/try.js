// The page that tries the model: a form made from its signature, its answer drawn and told.
import { Attention } from "./attend.js";
import { request } from "./door.js";
import { drawAbove, drawPicture, groundAt } from "./draw.js";
import { readSweep } from "./sweep.js";

const byId = (id) => document.getElementById(id);
const files = {}; // input name -> File
const scene = { picture: null, sweep: null, waypoints: null, target: null, truth: null, projection: null, attention: null };
let inputs = [];
let attention = null; // of what was asked last

async function json(path, options) {
  const answer = await request(path, options);
  const body = await answer.json();
  if (!answer.ok) throw new Error(body.field ? `${body.field}: ${body.detail}` : body.detail);
  return body;
}

function say(text, wrong = false) {
  byId("status").textContent = text;
  byId("status").className = wrong ? "wrong" : "quiet";
}

function element(tag, text = "", attributes = {}) {
  const made = document.createElement(tag);
  made.textContent = text;
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

// ---- the form

function fieldOf(tensor) {
  const isFile = tensor.media === "image" || tensor.media === "sweep";
  const field = element(isFile ? "div" : "label", "", { class: "field" });
  field.append(element("span", tensor.name), element("small", tensor.description));
  field.append(isFile ? dropZone(tensor) : valueBox(tensor));
  return field;
}

function valueBox(tensor) {
  const text = tensor.media === "text";
  const zeros = tensor.shape.every((size) => size > 0) ? Array(tensor.shape.reduce((a, b) => a * b, 1)).fill(0).join(", ") : "";
  const box = element(text ? "textarea" : "input", "", { id: `in-${tensor.name}`, ...(text ? { rows: 4 } : { type: "text", inputmode: "text" }) });
  box.value = text ? "" : zeros;
  box.addEventListener("input", () => { scene.truth = null; seeTarget(); draw(); });
  return box;
}

function dropZone(tensor) {
  const accepted = tensor.media === "image" ? "image/png,image/jpeg" : ".bin,.npy";
  const invitation = tensor.media === "image" ? "Drop a PNG or JPEG, or choose one" : "Drop a .bin or .npy, or choose one";
  const zone = element("label", "", { class: "drop" });
  const input = element("input", "", { type: "file", accept: accepted, id: `in-${tensor.name}`, "aria-label": tensor.name });
  zone.append(element("span", invitation), input);
  const take = (file) => { scene.truth = scene.projection = null; if (file) setFile(tensor, file); };
  input.addEventListener("change", () => take(input.files[0]));
  zone.addEventListener("dragover", (event) => { event.preventDefault(); zone.classList.add("over"); });
  zone.addEventListener("dragleave", () => zone.classList.remove("over"));
  zone.addEventListener("drop", (event) => { event.preventDefault(); zone.classList.remove("over"); take(event.dataTransfer.files[0]); });
  return zone;
}

async function setFile(tensor, file) {
  files[tensor.name] = file;
  byId(`in-${tensor.name}`).previousSibling.textContent = `${file.name}, ${(file.size / 1e6).toFixed(2)} MB`;
  scene.waypoints = scene.attention = attention = null;
  byId("looking").hidden = true;
  try {
    if (tensor.media === "image") scene.picture = await createImageBitmap(file);
    else scene.sweep = await readSweep(file, tensor.shape[tensor.shape.length - 1]);
  } catch (error) {
    say(`${tensor.name}: ${error.message}`, true);
  }
  draw();
}

function seeTarget() {
  const box = byId("in-target_point");
  const numbers = box ? box.value.replace(/[[\]]/g, "").split(",").map(Number) : [];
  scene.target = numbers.length === 2 && numbers.every(Number.isFinite) ? numbers : null;
}

// ---- asking

function filled() {
  const form = new FormData();
  for (const tensor of inputs) form.append(tensor.name, files[tensor.name] ?? byId(`in-${tensor.name}`).value);
  return form;
}

async function ask(event) {
  event?.preventDefault();
  const missing = inputs.find((tensor) => (tensor.media === "image" || tensor.media === "sweep") && !files[tensor.name]);
  if (missing) return say(`${missing.name}: is missing`, true);
  byId("ask").disabled = true;
  say("asking");
  const began = performance.now();
  try {
    const answer = await json("v1/predict", { method: "POST", body: filled() });
    tell(answer, performance.now() - began);
    if (scene.attention) await look();
    say("");
  } catch (error) {
    say(error.message, true);
  } finally {
    byId("ask").disabled = false;
  }
}

function tell(answer, total) {
  const { model, timings_ms: timings, batch_size: batch, ...outputs } = answer;
  byId("version").textContent = `version ${model.version}`;
  byId("outputs").replaceChildren(...Object.entries(outputs).map(([name, value]) => row(name, shown(value))));
  const stages = { ...timings, "in all, as this page saw it": total };
  byId("times").replaceChildren(...Object.entries(stages).map(([name, ms]) => row(name, `${ms.toFixed(1)} ms`)), row("batch", String(batch)));
  byId("answer").hidden = false;
  const points = outputs.waypoints;
  byId("looking").hidden = !scene.picture || !scene.sweep;
  scene.waypoints = Array.isArray(points) && points.every((point) => point.length === 2) ? points : null;
  draw();
}

// ---- where it looks

async function look() {
  byId("look").disabled = true;
  byId("looks").textContent = "asking";
  try {
    attention = new Attention(await json("v1/attention", { method: "POST", body: filled() }));
    const [x, y] = scene.waypoints?.at(-1) ?? [attention.x[1] / 2, 0];
    lookFrom(attention.onGround(x, y));
  } catch (error) {
    blind();
    byId("looks").textContent = error.message;
  } finally {
    byId("look").disabled = false;
  }
}

function lookFrom(token) {
  scene.attention = attention.of(token);
  byId("looks").textContent = attention.told(token);
  draw();
}

function blind() {
  scene.attention = attention = null;
  byId("looks").textContent = "";
  draw();
}

function clicked(event, token) {
  if (!attention) return;
  const canvas = event.currentTarget, box = canvas.getBoundingClientRect();
  lookFrom(token((event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height));
}

const onPicture = (right, down) => attention.inPicture(right, down);
const onGround = (right, down) => {
  const canvas = byId("above");
  return attention.onGround(...groundAt(right * canvas.width, down * canvas.height, canvas.width));
};

function row(name, value) {
  const line = element("tr");
  line.append(element("th", name, { scope: "row" }), element("td", value));
  return line;
}

function shown(value) {
  if (typeof value === "number") return value.toFixed(3);
  if (!Array.isArray(value)) return String(value);
  return Array.isArray(value[0]) ? value.map((line) => `(${line.map(shown).join(", ")})`).join("  ") : value.map(shown).join(", ");
}

// ---- drawing

function camera() {
  const [fov, ahead, height, lidar] = ["fov", "ahead", "height", "lidar"].map((id) => Number(byId(id).value));
  return { fov, ahead, height, lidar, projection: scene.projection };
}

function draw() {
  byId("views").hidden = !scene.picture && !scene.sweep;
  byId("camera").hidden = !scene.picture;
  byId("truth").hidden = !scene.truth;
  byId("hot").hidden = byId("blind").hidden = !scene.attention;
  for (const id of ["picture", "above"]) byId(id).classList.toggle("asks", Boolean(scene.attention));
  drawPicture(byId("picture"), scene, camera());
  drawAbove(byId("above"), scene);
}

// ---- examples and start

async function takeExample() {
  say("making an example of the synthetic world");
  byId("example").disabled = true;
  try {
    const example = await json(`v1/example?number=${Math.floor(Math.random() * 1000)}`);
    for (const tensor of inputs) await fill(tensor, example);
    Object.assign(scene, { truth: example.truth, projection: example.projection });
    seeTarget();
    await ask();
  } catch (error) {
    say(error.message, true);
  } finally {
    byId("example").disabled = false;
  }
}

async function fill(tensor, example) {
  const file = example.files[tensor.name];
  if (!file) { byId(`in-${tensor.name}`).value = example.numbers[tensor.name].map((x) => +x.toFixed(3)).join(", "); return; }
  const bytes = Uint8Array.from(atob(file.base64), (letter) => letter.charCodeAt(0));
  await setFile(tensor, new File([bytes], file.name));
}

async function start() {
  try {
    const model = await json("v1/model");
    inputs = model.signature.inputs;
    byId("name").textContent = model.name;
    document.title = `fusegpt: try ${model.name}`;
    byId("version").textContent = `version ${model.version}`;
    byId("fields").replaceChildren(...inputs.map(fieldOf));
    const media = inputs.map((tensor) => tensor.media);
    byId("example").hidden = !(media.includes("image") && media.includes("sweep"));
    byId("ask").disabled = false;
    seeTarget();
    say("");
    if (location.hash === "#example" && !byId("example").hidden) await takeExample();
  } catch (error) {
    say(`${error.message}; trying again`, true);
    setTimeout(start, 2000);
  }
}

byId("form").addEventListener("submit", ask);
byId("example").addEventListener("click", takeExample);
byId("look").addEventListener("click", look);
byId("blind").addEventListener("click", blind);
byId("picture").addEventListener("click", (event) => clicked(event, onPicture));
byId("above").addEventListener("click", (event) => clicked(event, onGround));
byId("camera").addEventListener("input", draw);
addEventListener("resize", draw);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
start();
