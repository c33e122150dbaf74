// The picture and the bird's-eye view, with waypoints. Frame of everything: x ahead, y left, z up, metres, at the LiDAR.

const ABOVE = { ahead: 34, behind: 6, side: 20 }; // metres
const RINGS = [10, 20, 30];

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

function prepared(canvas, ratio) {
  const width = canvas.clientWidth * devicePixelRatio;
  canvas.width = Math.round(width);
  canvas.height = Math.round(width * ratio);
  return canvas.getContext("2d");
}

export function drawPicture(canvas, scene, camera) {
  const picture = scene.picture;
  canvas.parentElement.hidden = !picture;
  if (!picture) return;
  const context = prepared(canvas, picture.height / picture.width);
  context.drawImage(picture, 0, 0, canvas.width, canvas.height);
  const scale = canvas.width / picture.width;
  const onto = (points) => points.map((point) => project(point, picture, camera)).filter(Boolean).map(([u, v]) => [u * scale, v * scale]);
  path(context, onto(scene.truth ?? []), colour("truth"));
  path(context, onto(scene.waypoints ?? []), colour("accent"));
  path(context, onto(scene.target ? [scene.target] : []), colour("target"));
}

// A point of the ground -> pixel; null behind the camera. By the sample's own projection where it has one.
function project([x, y], picture, camera) {
  const z = -camera.lidar;
  if (camera.projection) {
    const [u, v, w] = camera.projection.map((row) => row[0] * x + row[1] * y + row[2] * z + row[3]);
    return w > 0.5 ? [u / w, v / w] : null;
  }
  const depth = x - camera.ahead;
  const focal = picture.width / 2 / Math.tan((camera.fov * Math.PI) / 360);
  return depth > 0.5 ? [picture.width / 2 - (focal * y) / depth, picture.height / 2 + (focal * camera.height) / depth] : null;
}

export function drawAbove(canvas, scene) {
  const context = prepared(canvas, (ABOVE.ahead + ABOVE.behind) / (2 * ABOVE.side));
  const scale = canvas.width / (2 * ABOVE.side);
  const place = ([x, y]) => [(ABOVE.side - y) * scale, (ABOVE.ahead - x) * scale];
  rings(context, place([0, 0]), scale);
  if (scene.sweep) sweep(context, scene.sweep, place);
  path(context, (scene.truth ?? []).map(place), colour("truth"));
  path(context, [[0, 0], ...(scene.waypoints ?? [])].map(place), colour("accent"));
  path(context, scene.target ? [place(scene.target)] : [], colour("target"));
}

function rings(context, [u, v], scale) {
  context.strokeStyle = colour("line");
  context.lineWidth = devicePixelRatio;
  for (const radius of RINGS) {
    context.beginPath();
    context.arc(u, v, radius * scale, 0, 2 * Math.PI);
    context.stroke();
  }
}

// Low points first, in one colour, then what stands up, in another.
function sweep(context, { points, columns }, place) {
  const size = Math.max(1, devicePixelRatio);
  for (const [name, wanted] of [["low", (z) => z < -1.4], ["high", (z) => z >= -1.4]]) {
    context.fillStyle = colour(name);
    for (let i = 0; i + 2 < points.length; i += columns) {
      if (!wanted(points[i + 2])) continue;
      const [u, v] = place([points[i], points[i + 1]]);
      context.fillRect(u, v, size, size);
    }
  }
}

function path(context, places, ink) {
  const radius = 4 * devicePixelRatio;
  context.strokeStyle = context.fillStyle = ink;
  context.lineWidth = 2 * devicePixelRatio;
  context.beginPath();
  places.forEach(([u, v], i) => (i ? context.lineTo(u, v) : context.moveTo(u, v)));
  context.stroke();
  for (const [u, v] of places) {
    context.beginPath();
    context.arc(u, v, radius, 0, 2 * Math.PI);
    context.fill();
  }
}
