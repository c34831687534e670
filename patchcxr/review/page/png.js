// One-bit PNG files, read and written exactly: a canvas may change pixels (colour management, privacy noise).

const SIGNATURE = [137, 80, 78, 71, 13, 10, 26, 10];

const CRC = new Uint32Array(256).map((_, n) => {
  for (let k = 0; k < 8; k++) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1;
  return n;
});

function crc32(bytes) {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = CRC[(crc ^ byte) & 255] ^ (crc >>> 8);
  return (crc ^ 0xffffffff) >>> 0;
}

async function through(stream, bytes) {
  return new Uint8Array(await new Response(new Blob([bytes]).stream().pipeThrough(stream)).arrayBuffer());
}

function chunk(name, body) {
  const out = new Uint8Array(body.length + 12);
  const view = new DataView(out.buffer);
  view.setUint32(0, body.length);
  for (let i = 0; i < 4; i++) out[4 + i] = name.charCodeAt(i);
  out.set(body, 8);
  view.setUint32(8 + body.length, crc32(out.subarray(4, 8 + body.length)));
  return out;
}

/** PNG bytes of a mask (Uint8Array of 0 and 1, row by row). */
export async function encodeMask(mask, width, height) {
  const stride = (width + 7) >> 3;
  const raw = new Uint8Array((stride + 1) * height);
  for (let row = 0; row < height; row++) {
    const at = row * (stride + 1) + 1;
    const from = row * width;
    for (let column = 0; column < width; column++) {
      if (mask[from + column]) raw[at + (column >> 3)] |= 128 >> (column & 7);
    }
  }
  const head = new Uint8Array(13);
  const view = new DataView(head.buffer);
  view.setUint32(0, width);
  view.setUint32(4, height);
  head[8] = 1; // one bit, grey, no interlace
  const parts = [
    new Uint8Array(SIGNATURE),
    chunk("IHDR", head),
    chunk("IDAT", await through(new CompressionStream("deflate"), raw)),
    chunk("IEND", new Uint8Array(0)),
  ];
  return new Uint8Array(await new Blob(parts).arrayBuffer());
}

/** {mask, width, height} of a one-bit grey PNG, as the server sends it. */
export async function decodeMask(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (SIGNATURE.some((byte, i) => bytes[i] !== byte)) throw new Error("The mask is not a PNG file.");
  const data = [];
  let width = 0;
  let height = 0;
  for (let at = 8; at + 12 <= bytes.length; ) {
    const length = view.getUint32(at);
    const name = String.fromCharCode(...bytes.subarray(at + 4, at + 8));
    const body = bytes.subarray(at + 8, at + 8 + length);
    if (name === "IHDR") {
      width = view.getUint32(at + 8);
      height = view.getUint32(at + 12);
      if (body[8] !== 1 || body[9] !== 0 || body[12] !== 0) throw new Error("The mask is not a one-bit grey PNG.");
    } else if (name === "IDAT") data.push(body);
    at += length + 12;
  }
  const raw = await through(new DecompressionStream("deflate"), await new Blob(data).arrayBuffer());
  const stride = (width + 7) >> 3;
  const mask = new Uint8Array(width * height);
  let above = new Uint8Array(stride);
  for (let row = 0; row < height; row++) {
    const at = row * (stride + 1);
    const line = raw.subarray(at + 1, at + 1 + stride);
    unfilter(raw[at], line, above);
    const to = row * width;
    for (let column = 0; column < width; column++) mask[to + column] = (line[column >> 3] >> (7 - (column & 7))) & 1;
    above = line;
  }
  return { mask, width, height };
}

function unfilter(kind, line, above) {
  if (kind === 0) return;
  for (let i = 0; i < line.length; i++) {
    const left = i ? line[i - 1] : 0;
    const corner = i ? above[i - 1] : 0;
    let guess = 0;
    if (kind === 1) guess = left;
    else if (kind === 2) guess = above[i];
    else if (kind === 3) guess = (left + above[i]) >> 1;
    else guess = paeth(left, above[i], corner);
    line[i] += guess;
  }
}

function paeth(left, up, corner) {
  const p = left + up - corner;
  const a = Math.abs(p - left);
  const b = Math.abs(p - up);
  const c = Math.abs(p - corner);
  return a <= b && a <= c ? left : b <= c ? up : corner;
}

/** Base64 of bytes, in pieces that any engine's argument limit takes. */
export function toBase64(bytes) {
  let text = "";
  for (let at = 0; at < bytes.length; at += 8192) text += String.fromCharCode(...bytes.subarray(at, at + 8192));
  return btoa(text);
}
