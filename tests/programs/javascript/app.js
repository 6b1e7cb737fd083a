// Turns the lines of standard input into JSON, with the interfaces of WASI themselves.
import { getArguments, getEnvironment } from 'wasi:cli/environment@0.2.12';
import { getStdin } from 'wasi:cli/stdin@0.2.12';

export const run = {
  run() {
    const input = getStdin();
    const decoder = new TextDecoder();
    let text = '';
    for (;;) {
      try {
        text += decoder.decode(input.blockingRead(4096n), { stream: true });
      } catch (error) {
        break;
      }
    }
    const lines = text.split('\n').filter((line) => line.length > 0);
    const sorted = lines.map((line) => line.toUpperCase()).sort();
    console.log(JSON.stringify({ arguments: getArguments().slice(1), environment: getEnvironment(), sorted }));
  },
};
