// The API as a page: openapi.json, and how to submit a first job.
import { operations } from "./operations.js";

const at = (id) => document.getElementById(id);

async function start() {
  const page = await (await fetch("openapi.json")).json();
  at("version").textContent = `version ${page.info.version}`;
  at("shell").textContent = `curl ${location.origin}/v1/jobs \\
  -H "Authorization: Bearer $FUSEGPT_TOKEN" -H 'Content-Type: application/json' \\
  -d '{"spec": {"experiment": "fusion_waypoints", "search": {"trials": 8}}}'`;
  at("operations").replaceChildren(...operations(page));
}

start();
