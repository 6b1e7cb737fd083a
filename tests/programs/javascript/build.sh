set -eu
npm install --silent --ignore-scripts --no-audit --no-fund --no-save
mkdir -p wit/deps
mv w.wit wit/
cp "$WIT"/deps/*.wit wit/deps/
node build.mjs
