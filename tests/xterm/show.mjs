// Shows bytes to xterm.js and prints what it made of them, one JSON object a line for each line
// read from stdin.
//
// in:  {"cols": 80, "rows": 24, "bytes": "<base64>"}
// out: {"rows": [{"wrapped": false, "cells": [[text, width, fg, bg, attrs, underline], …]}, …],
//       "history": ["text", …], "cursor": {"x", "y", "hidden"}, "title": "…", "modes": {…}}
//
// Colours: -1 the default, 0–255 the palette, 0x1000000 + rgb. attrs: 1 bold, 2 dim, 4 italic,
// 8 blink, 16 inverse, 32 hidden, 64 struck out. underline: 0 none, 1 to 5 as in SGR 4:n.
// wrapped: this row goes on in the next.

import { createInterface } from "node:readline";
import headless from "@xterm/headless";
import unicode11 from "@xterm/addon-unicode11";

const color = (rgb, palette, value) => (rgb ? 0x1000000 + value : palette ? value : -1);

function attrs(cell) {
  const tests = [
    cell.isBold(),
    cell.isDim(),
    cell.isItalic(),
    cell.isBlink(),
    cell.isInverse(),
    cell.isInvisible(),
    cell.isStrikethrough(),
  ];
  return tests.reduce((bits, set, index) => (set ? bits | (1 << index) : bits), 0);
}

function row(buffer, y, cols) {
  const line = buffer.getLine(y);
  const cells = [];
  for (let x = 0; x < cols; x += 1) {
    const cell = line.getCell(x);
    cells.push([
      cell.getWidth() === 0 ? "" : cell.getChars() || " ",
      cell.getWidth(),
      color(cell.isFgRGB(), cell.isFgPalette(), cell.getFgColor()),
      color(cell.isBgRGB(), cell.isBgPalette(), cell.getBgColor()),
      attrs(cell),
      cell.isUnderline() ? cell.getUnderlineStyle() : 0,
    ]);
  }
  return { wrapped: buffer.getLine(y + 1)?.isWrapped ?? false, cells };
}

async function show({ cols, rows, bytes }) {
  const terminal = new headless.Terminal({ cols, rows, scrollback: 1000, allowProposedApi: true });
  terminal.loadAddon(new unicode11.Unicode11Addon());
  terminal.unicode.activeVersion = "11";
  let title = "";
  terminal.onTitleChange((text) => {
    title = text;
  });
  await new Promise((done) => terminal.write(Buffer.from(bytes, "base64"), done));
  const buffer = terminal.buffer.active;
  const top = buffer.baseY;
  const shown = [];
  for (let y = top; y < top + rows; y += 1) shown.push(row(buffer, y, cols));
  const history = [];
  for (let y = 0; y < top; y += 1) history.push(buffer.getLine(y).translateToString(true));
  const answer = {
    rows: shown,
    history,
    cursor: {
      x: buffer.cursorX,
      y: buffer.cursorY,
      hidden: terminal._core.coreService.isCursorHidden,
    },
    title,
    alternate: buffer.type === "alternate",
    modes: terminal.modes,
  };
  terminal.dispose();
  return answer;
}

for await (const line of createInterface({ input: process.stdin })) {
  process.stdout.write(`${JSON.stringify(await show(JSON.parse(line)))}\n`);
}
