// The interface as a page: openapi.json, and examples made from the model's signature.
import { guarded, request } from "./door.js";
import { operations } from "./operations.js";

const byId = (id) => document.getElementById(id);

const SAMPLES = { image: "frame.png", sweep: "frame.bin" };

const numbers = (tensor) => tensor.shape.map((size) => (size < 0 ? 2 : size)).reduce((a, b) => a * b, 1);
const zeros = (tensor) => Array(numbers(tensor)).fill("0.0").join(",");

function shell(inputs) {
  const field = (tensor) => (SAMPLES[tensor.media] ? `@${SAMPLES[tensor.media]}` : tensor.media === "text" ? "some text" : zeros(tensor));
  const token = guarded() ? ['  -H "Authorization: Bearer $FUSEGPT_TOKEN"'] : [];
  return [`curl ${location.origin}/v1/predict`, ...token, ...inputs.map((tensor) => `  -F '${tensor.name}=${field(tensor)}'`)].join(" \\\n");
}

function python(inputs) {
  const value = (tensor) => {
    if (SAMPLES[tensor.media]) return `Path("${SAMPLES[tensor.media]}")`;
    if (tensor.media === "text") return '"some text"';
    return numbers(tensor) === 1 ? "0.0" : `(${zeros(tensor)})`;
  };
  return `from pathlib import Path
from service.client import Client

with Client("${location.origin}") as client:
    prediction = client.predict(${inputs.map((tensor) => `${tensor.name}=${value(tensor)}`).join(", ")})
    print(prediction.outputs)`;
}

function triton(name, metadata) {
  const inputs = metadata.inputs.map((tensor) => `    "${tensor.name}": ...,  # ${tensor.datatype} [${tensor.shape.map((size, i) => (size < 0 ? (i ? "any" : "B") : size)).join(", ")}]`);
  return `import tritonclient.http as triton
from tritonclient.utils import np_to_triton_dtype

arrays = {
${inputs.join("\n")}
}
inputs = [triton.InferInput(name, array.shape, np_to_triton_dtype(array.dtype)) for name, array in arrays.items()]
for given, array in zip(inputs, arrays.values()):
    given.set_data_from_numpy(array)
answer = triton.InferenceServerClient("${location.host}").infer("${name}", inputs)
answer.as_numpy("${metadata.outputs[0].name}")`;
}

async function start() {
  const page = await (await request("openapi.json")).json();
  byId("name").textContent = page.info.title;
  byId("operations").replaceChildren(...operations(page));
  const answer = await request("v1/model");
  if (!answer.ok) { byId("version").textContent = (await answer.json()).detail; return; }
  const model = await answer.json();
  byId("version").textContent = `version ${model.version}`;
  byId("shell").textContent = shell(model.signature.inputs);
  byId("python").textContent = python(model.signature.inputs);
  byId("triton").textContent = triton(model.name, await (await request(`v2/models/${encodeURIComponent(model.name)}`)).json());
}

start();
