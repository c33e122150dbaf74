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
  heat(context, imageCells(scene.attention, canvas.width, canvas.height));
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
  heat(context, groundCells(scene.attention, place));
  path(context, (scene.truth ?? []).map(place), colour("truth"));
  path(context, [[0, 0], ...(scene.waypoints ?? [])].map(place), colour("accent"));
  path(context, scene.target ? [place(scene.target)] : [], colour("target"));
}

// A place on the canvas of the view from above -> metres ahead and to the left.
export function groundAt(u, v, width) {
  const scale = width / (2 * ABOVE.side);
  return [ABOVE.ahead - v / scale, ABOVE.side - u / scale];
}

// ---- attention: parts of the picture and of the ground, as hot as they are looked at

function imageCells(attention, width, height) {
  if (!attention) return [];
  const [rows, columns] = attention.grids.image, wide = width / columns, deep = height / rows;
  return attention.heat.image.map((hot, i) => ({ hot, own: i === attention.own.image, box: [(i % columns) * wide, Math.floor(i / columns) * deep, wide, deep] }));
}

function groundCells(attention, place) {
  if (!attention) return [];
  const [rows, columns] = attention.grids.ground, [near, far] = attention.x, [right, left] = attention.y;
  const deep = (far - near) / rows, wide = (left - right) / columns;
  return attention.heat.ground.map((hot, i) => {
    const [u, v] = place([far - Math.floor(i / columns) * deep, left - (i % columns) * wide]);
    const [to, down] = place([far - (Math.floor(i / columns) + 1) * deep, left - ((i % columns) + 1) * wide]);
    return { hot, own: i === attention.own.ground, box: [u, v, to - u, down - v] };
  });
}

function heat(context, cells) {
  for (const { hot, own, box } of cells) {
    context.globalAlpha = 0.6 * hot;
    context.fillStyle = colour("hot");
    context.fillRect(...box);
    context.globalAlpha = 1;
    if (!own) continue;
    context.strokeStyle = colour("hot");
    context.lineWidth = 3 * devicePixelRatio;
    context.strokeRect(...box);
  }
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
