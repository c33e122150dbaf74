// Two small plots of a search: the learning curves of its trials, and the best so far trial by trial.
import { number } from "./ask.js";

const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 420, HEIGHT = 170, LEFT = 52, RIGHT = 10, TOP = 12, BOTTOM = 26;

function shape(tag, attributes, text = "") {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  if (text) made.textContent = text;
  return made;
}

export function plots(curves, metric, mode) {
  const known = curves.map((curve) => ({ ...curve, points: curve.epochs.map((epoch, i) => [epoch, curve.values[i]]).filter(([, value]) => value !== null) })).filter((curve) => curve.points.length);
  if (!known.length) return [];
  const better = (a, b) => (mode === "max" ? a > b : a < b);
  const bestOf = ({ points }) => points.map(([, value]) => value).reduce((a, b) => (better(b, a) ? b : a));
  const best = known.reduce((a, b) => (better(bestOf(b), bestOf(a)) ? b : a));
  return [curvesPlot(known, best, metric), progressPlot(known, bestOf, better, metric)];
}

function curvesPlot(known, best, metric) {
  const all = known.flatMap((curve) => curve.points);
  const plot = frame(all, `${metric} by epoch`, `Learning curves of ${known.length} trials; the best is trial ${best.number}`);
  for (const curve of [...known.filter((one) => one !== best), best]) {
    const line = plot.line(curve.points, curve === best ? "best" : "");
    line.append(shape("title", {}, `trial ${curve.number}, ${curve.state}: ${number(curve.points[curve.points.length - 1][1])}`));
  }
  return plot.drawn;
}

function progressPlot(known, bestOf, better, metric) {
  const points = known.map((curve) => [curve.number, bestOf(curve)]);
  const plot = frame(points, `${metric} by trial: best of each, best so far`, `Best so far after each of ${known.length} trials`);
  let so = points[0][1];
  const steps = points.flatMap(([x, value]) => { const before = so; so = better(value, so) ? value : so; return [[x, before], [x, so]]; });
  plot.line(steps, "best");
  for (const [x, value] of points) plot.dot(x, value).append(shape("title", {}, `trial ${x}: ${number(value)}`));
  return plot.drawn;
}

// The middle of all values; a curve that shoots off leaves the picture instead of flattening the others.
function window_(values) {
  const sorted = [...values].sort((a, b) => a - b), at = (share) => sorted[Math.round(share * (sorted.length - 1))];
  const reach = 3 * (at(0.75) - at(0.25)) || Math.abs(at(0.5)) * 0.1 || 1;
  const low = Math.max(sorted[0], at(0.25) - reach), high = Math.min(sorted[sorted.length - 1], at(0.75) + reach);
  const margin = (high - low) * 0.06 || reach * 0.5;
  return [low - margin, high + margin];
}

function frame(points, title, label) {
  const [low, high] = window_(points.map(([, value]) => value));
  const first = Math.min(...points.map(([x]) => x)), last = Math.max(...points.map(([x]) => x), first + 1);
  const across = (x) => LEFT + ((x - first) / (last - first)) * (WIDTH - LEFT - RIGHT);
  const down = (value) => Math.max(TOP - 6, Math.min(HEIGHT - BOTTOM + 6, TOP + ((high - value) / (high - low)) * (HEIGHT - TOP - BOTTOM)));
  const drawn = shape("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": label, class: "plot" });
  for (const value of [low, (low + high) / 2, high]) {
    drawn.append(shape("line", { x1: LEFT, x2: WIDTH - RIGHT, y1: down(value), y2: down(value), class: "grid" }));
    drawn.append(shape("text", { x: LEFT - 6, y: down(value) + 4, "text-anchor": "end" }, Number(value.toPrecision(3)).toString()));
  }
  drawn.append(shape("text", { x: LEFT, y: HEIGHT - 8 }, String(first)), shape("text", { x: WIDTH - RIGHT, y: HEIGHT - 8, "text-anchor": "end" }, String(last)));
  drawn.append(shape("text", { x: (LEFT + WIDTH) / 2, y: HEIGHT - 8, "text-anchor": "middle" }, title));
  const put = (made) => { drawn.append(made); return made; };
  return {
    drawn,
    line: (at, kind) => put(at.length > 1
      ? shape("polyline", { points: at.map(([x, value]) => `${across(x).toFixed(1)},${down(value).toFixed(1)}`).join(" "), class: `curve ${kind}` })
      : shape("circle", { cx: across(at[0][0]), cy: down(at[0][1]), r: 3, class: `dot ${kind}` })),
    dot: (x, value) => put(shape("circle", { cx: across(x), cy: down(value), r: 3, class: "dot" })),
  };
}
