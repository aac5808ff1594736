// What stands under the cursor in every picture, and a crop as a figure. Both read pixels, which a
// browser refuses for files that a page opened from a folder links to; it is said then.
const canvases = new Map();
const REFUSED = "a browser reads no pixels of linked files opened from a folder: serve the folder, or make the page with --embed";
let asked = 0;

async function canvasOf(index) {
  if (!canvases.has(index)) {
    if (canvases.size > 24) canvases.clear();
    canvases.set(index, drawn(index));
  }
  return canvases.get(index);
}
async function drawn(index) {
  const image = element("img", { src: source(index) });
  await image.decode();
  const canvas = element("canvas", { width: image.naturalWidth, height: image.naturalHeight });
  canvas.getContext("2d", { willReadFrequently: true }).drawImage(image, 0, 0);
  return canvas;
}
async function valuesAt(index, x, y) {
  const canvas = await canvasOf(index);
  return canvas.getContext("2d").getImageData(x, y, 1, 1).data;
}

async function readPixel(pixel) {
  const mine = (asked += 1);
  const entry = current();
  if (!inside(pixel)) return;
  const [x, y] = pixel;
  let parts;
  try {
    parts = await Promise.all(pictures(entry).map(async (p) => {
      const [r, g, b] = await valuesAt(p.index, x, y);
      return [p.label, `${r} ${g} ${b}`];
    }));
    const overlay = shownMap();
    if (overlay) parts.push([overlay.title, await mapAt(entry, overlay, x, y)]);
  } catch (error) {
    if (error.name !== "SecurityError") throw error;
    parts = [[REFUSED, ""]];
  }
  // An answer that comes after the next question is out of date.
  if (mine !== asked) return;
  const copies = data.exact ? "" : " (of the page's copies, not of the files)";
  byId("pixel").replaceChildren(
    element("span", { textContent: `x ${x}, y ${y}${copies}` }),
    ...parts.map(([label, text]) => element("span", {}, `${label} `, element("b", { textContent: text }))),
  );
}
// Maps are stored in steps of 1/32 of their scale, at most 256 pixels long.
async function mapAt(entry, overlay, x, y) {
  const index = entry.maps[overlay.slot];
  const canvas = await canvasOf(index);
  const [width, height] = entry.size;
  const at = [Math.floor((x * canvas.width) / width), Math.floor((y * canvas.height) / height)];
  const level = Math.round(((await valuesAt(index, ...at))[overlay.channel] / 255) * 31);
  const unit = overlay.unit ? ` ${overlay.unit}` : "";
  const low = (level * overlay.high) / 32;
  if (level === 31) return `${low}${unit} or more`;
  return `${low} to ${low + overlay.high / 32}${unit}`;
}

const crop = { on: false, box: null };
function setCropping(on) {
  crop.on = on;
  press(byId("figure"), on);
  byId("figure-line").classList.toggle("off", !on);
  if (!on) crop.box = null;
  drawCrop();
}
function clearCrop() {
  setCropping(false);
}
function setCrop(from, to) {
  const [width, height] = current().size;
  const clip = (value, most) => Math.min(Math.max(value, 0), most - 1);
  const [x0, x1] = [clip(from[0], width), clip(to[0], width)].sort((a, b) => a - b);
  const [y0, y1] = [clip(from[1], height), clip(to[1], height)].sort((a, b) => a - b);
  crop.box = [x0, y0, x1 - x0 + 1, y1 - y0 + 1];
  drawCrop();
}
function drawCrop() {
  for (const box of stage.querySelectorAll(".boxes rect")) {
    const values = crop.box || [0, 0, 0, 0];
    ["x", "y", "width", "height"].forEach((name, k) => box.setAttribute(name, String(values[k])));
  }
  byId("save-figure").disabled = !crop.box;
  byId("figure-command").textContent = crop.box ? figureCommand() : "drag a box over the picture";
}
function figureCommand() {
  const entry = current();
  const run = entry.origin || data.run;
  return `e2r-bench report ${quoted(run)} --figure ${quoted(figureName(entry))} --crop ${crop.box.join(",")}`;
}
// The command knows one run: its methods have no origin before them.
function figureName(entry) {
  return [entry.task, entry.method, entry.image].map(encodeURIComponent).join("/");
}
function quoted(text) {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

async function saveFigure() {
  const entry = current();
  const canvases = await Promise.all(pictures(entry).map(async (p) => [p.label, await canvasOf(p.index)]));
  const sheet = figureSheet(canvases, entry);
  try {
    sheet.toBlob((blob) => {
      const link = element("a", { href: URL.createObjectURL(blob), download: `${entry.task}_${entry.image}.png` });
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 1000);
    });
  } catch (error) {
    if (error.name !== "SecurityError") throw error;
    byId("figure-command").textContent = REFUSED;
  }
}
// Upper row whole with the box, lower row the crop, enlarged by a whole factor: no pixel is made up.
function figureSheet(pictures, entry) {
  const [x, y, w, h] = crop.box;
  const [width, height] = entry.size;
  const times = Math.max(1, Math.floor(width / w));
  const [pad, line] = [8, 22];
  const column = Math.max(width, w * times) + pad;
  const sheet = element("canvas", { width: column * pictures.length + pad, height: height + h * times + 3 * pad + 2 * line });
  const on = sheet.getContext("2d");
  on.fillStyle = "#fff";
  on.fillRect(0, 0, sheet.width, sheet.height);
  on.imageSmoothingEnabled = false;
  on.font = "14px sans-serif";
  on.lineWidth = 2;
  pictures.forEach(([label, canvas], k) => {
    const left = pad + k * column;
    on.drawImage(canvas, left, pad);
    on.strokeStyle = "#e69f00";
    on.strokeRect(left + x, pad + y, w, h);
    on.drawImage(canvas, x, y, w, h, left, 2 * pad + height, w * times, h * times);
    on.fillStyle = "#1d1f23";
    on.fillText(label, left, 2 * pad + height + h * times + 16, column - pad);
  });
  const copies = data.exact ? "" : "; made from the page's lossy copies";
  on.fillText(`${entry.task}, ${entry.image}, box ${crop.box.join(",")}${copies}`, pad, sheet.height - 6, sheet.width - pad);
  return sheet;
}
