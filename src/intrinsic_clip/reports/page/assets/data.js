// The data of the page, which contents.py describes, and what all sections share: colours, means, controls.

const data = JSON.parse(document.getElementById('data').textContent);
const place = (id) => document.getElementById(id);
const { groups, trainings, families } = data;
const members = groups.map((_, group) =>
  trainings.flatMap((training, i) => (training.group === group ? [i] : [])),
);
const plural = (count, word) => `${count.toLocaleString('en')} ${word}${count === 1 ? '' : 's'}`;

// Okabe–Ito where the settings are few, viridis along their order where they are many.
const FEW = {
  light: ['#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00', '#56b4e9'],
  dark: ['#56b4e9', '#e69f00', '#2fbf94', '#e3a3c6', '#f0743e', '#f0e442'],
};
const VIRIDIS = ['#440154', '#46327e', '#365c8d', '#277f8e', '#1fa187', '#4ac16d', '#a0da39', '#fde725'];
const SIDES = ['var(--x)', 'var(--y)'];

// The lines of a chart of one setting: f(X) and g(Y) have their colours on all pages, further modalities need more.
const lineColour = (family, j) => (family.lines.length > SIDES.length ? `var(--l${j})` : SIDES[j]);
const lineDash = (j) => DASHES[j % DASHES.length];

function viridis(share) {
  const at = Math.min(Math.max(share, 0), 1) * (VIRIDIS.length - 1);
  const [low, high] = [Math.floor(at), Math.ceil(at)];
  const channel = (colour, i) => parseInt(colour.slice(1 + 2 * i, 3 + 2 * i), 16);
  const mixed = (i) => (1 - at + low) * channel(VIRIDIS[low], i) + (at - low) * channel(VIRIDIS[high], i);
  return `rgb(${[0, 1, 2].map((i) => Math.round(mixed(i)))})`;
}

function palette(name, count, dark) {
  for (let i = 0; i < count; i += 1) {
    const share = count > 1 ? i / (count - 1) : 0;
    const colour =
      count <= FEW.light.length
        ? FEW[dark ? 'dark' : 'light'][i]
        : viridis(dark ? 0.22 + 0.78 * share : 0.88 * share);
    document.documentElement.style.setProperty(`--${name}${i}`, colour);
  }
}

function mean(values) {
  const numbers = values.filter((value) => value !== null && value !== undefined);
  const of = values.length;
  if (!numbers.length) return { y: null, sd: null, n: 0, of };
  const y = numbers.reduce((sum, value) => sum + value, 0) / numbers.length;
  const squares = numbers.reduce((sum, value) => sum + (value - y) ** 2, 0);
  const sd = numbers.length > 1 ? Math.sqrt(squares / (numbers.length - 1)) : null;
  return { y, sd, n: numbers.length, of };
}

const final = (metric, group) => mean(members[group].map((i) => data.metrics[metric][i]));

function tick(words, checked, change, extra = {}) {
  const box = html('input', { type: 'checkbox', checked, onchange: () => change(box.checked), ...extra });
  return html('label', {}, box, words);
}

function select(words, options, chosen, change, hidden = false) {
  const box = html('select', { 'aria-label': words, onchange: () => change(box.value) });
  box.append(...options.map(([value, text]) => html('option', { value, selected: value === chosen }, text)));
  return hidden ? box : html('label', {}, words, box);
}

const legend = (entries) =>
  entries.map((entry) => html('span', { class: 'key' }, swatch(entry), entry.label));
const choices = (list) => list.map((family) => [family.id, family.title]);
const axisOf = (family, log) => ({
  label: family.unit || family.title.toLowerCase(),
  log,
  zero: family.zero,
});
