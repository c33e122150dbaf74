// Where the tokens of picture and ground look: asked for on demand, then one token at a time.

// Attention that is nowhere this much more than even is drawn no stronger than it is.
const FAINTEST = 0.25;

// The answer of /v1/attention -> what `of` needs. Tokens of the picture come first.
export class Attention {
  constructor({ image_grid: image, lidar_grid: ground, x_m: x, y_m: y, weights, heads }) {
    Object.assign(this, { grids: { image, ground }, x, y, weights, heads, parts: image[0] * image[1] });
  }

  inPicture(right, down) { // shares of width and height
    const [rows, columns] = this.grids.image;
    return within(down, rows) * columns + within(right, columns);
  }

  onGround(x, y) { // metres
    const [rows, columns] = this.grids.ground;
    const row = within((this.x[1] - x) / (this.x[1] - this.x[0]), rows), column = within((this.y[1] - y) / (this.y[1] - this.y[0]), columns);
    return this.parts + row * columns + column;
  }

  // What is drawn of one token: 0 for an even share of its attention or less, 1 for the part that it looks at most.
  of(token) {
    const row = this.weights[token], beyond = row.map((weight) => Math.max(weight * row.length - 1, 0));
    const most = Math.max(FAINTEST, ...beyond), hot = beyond.map((value) => value / most);
    const own = token < this.parts ? { image: token } : { ground: token - this.parts };
    return { grids: this.grids, x: this.x, y: this.y, own, heat: { image: hot.slice(0, this.parts), ground: hot.slice(this.parts) } };
  }

  // In words: how much of a token's attention goes to the other sensor.
  told(token) {
    const most = Math.max(...this.weights[token]) * this.weights.length;
    const onPicture = this.weights[token].slice(0, this.parts).reduce((a, b) => a + b, 0);
    const even = this.parts / this.weights.length, percent = (share) => `${Math.round(100 * share)} %`;
    const who = token < this.parts ? "This part of the picture" : "This part of the ground";
    return `${who} looks to ${percent(onPicture)} at the picture and to ${percent(1 - onPicture)} at the ground (evenly: ${percent(even)} and ${percent(1 - even)}), and at one part ${most.toFixed(1)} times as much as evenly. Click on either to ask another.`;
  }
}

function within(share, count) {
  return Math.min(Math.max(Math.floor(share * count), 0), count - 1);
}
