// Pixels of palette entries on a canvas, one canvas pixel each; the style sheet scales them without smoothing.

const rgb = (colour) => [0, 2, 4].map((at) => parseInt(colour.slice(at, at + 2), 16));

// ["87ceeb", …] → function (canvas, rows of entries, from row, from column)
export function painter(colours) {
  const table = [[0, 0, 0, 0], ...colours.map((colour) => [...rgb(colour), 255])];
  return (canvas, rows, top = 0, left = 0) => {
    if (!rows.length) return;
    const image = new ImageData(rows[0].length, rows.length);
    rows.flat().forEach((entry, at) => image.data.set(table[entry], 4 * at));
    canvas.getContext("2d").putImageData(image, left, top);
  };
}

export function size(canvas, width, height) {
  canvas.width = width; // also clears it
  canvas.height = height;
}

// The row that is drawn next, as a faint line that moves down.
export function mark(canvas, row, left, width) {
  const context = canvas.getContext("2d");
  context.clearRect(left, row, width, 1);
  context.fillStyle = "rgb(255 255 255 / .2)";
  context.fillRect(left, row, width, 1);
}
