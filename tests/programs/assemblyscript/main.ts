// Reads lines of numbers from standard input and prints their sum, and its arguments.
const buffer = new ArrayBuffer(4096);
let text = "";
for (;;) {
  const count = process.stdin.read(buffer);
  if (count <= 0) break;
  text += String.UTF8.decode(buffer.slice(0, count));
}
let sum: i64 = 0;
const lines = text.split("\n");
for (let i = 0; i < lines.length; i++) {
  if (lines[i].length > 0) sum += I64.parseInt(lines[i]);
}
console.log("sum " + sum.toString());
console.log("arguments " + process.argv.slice(1).join(","));
process.exit(sum == 0 ? 1 : 0);
