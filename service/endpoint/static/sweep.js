// A sweep file as the endpoint reads it: raw float32 rows, or .npy in float32 or float64. -> {points, columns}

const MAGIC = [0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59];

export async function readSweep(file, columns) {
  const buffer = await file.arrayBuffer();
  const bytes = new Uint8Array(buffer);
  if (MAGIC.every((byte, i) => bytes[i] === byte)) return fromNpy(buffer, bytes, columns);
  if (buffer.byteLength % (4 * columns)) throw new Error(`${buffer.byteLength} bytes are no whole number of points`);
  return { points: new Float32Array(buffer), columns };
}

function fromNpy(buffer, bytes, columns) {
  const view = new DataView(buffer);
  const [length, start] = bytes[6] === 1 ? [view.getUint16(8, true), 10] : [view.getUint32(8, true), 12];
  const header = new TextDecoder().decode(bytes.subarray(start, start + length));
  if (/'fortran_order': True/.test(header)) throw new Error("the preview reads .npy in C order only");
  const Numbers = { "<f4": Float32Array, "<f8": Float64Array }[/'descr': '([^']*)'/.exec(header)?.[1]];
  if (!Numbers) throw new Error("the preview reads .npy of float32 or float64 only");
  return { points: new Numbers(buffer.slice(start + length)), columns };
}
