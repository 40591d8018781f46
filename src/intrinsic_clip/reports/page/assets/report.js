// The head of the page, and the start of everything.

function head() {
  const { runs } = data;
  const same = (values) => {
    const all = [...new Set(values)];
    return all.length === 1 ? all[0] : null;
  };
  const range = (values) => {
    const sorted = [...new Set(values)].sort((a, b) => a - b);
    return sorted.length > 1
      ? `${number(sorted[0])} to ${number(sorted[sorted.length - 1])}`
      : number(sorted[0]);
  };
  const dates = runs.map((run) => run.date.slice(0, 10)).sort();
  const commits = [
    ...new Set(
      runs
        .map((run) => run.versions.commit)
        .filter(Boolean)
        .map((commit) => commit.slice(0, 8) + (commit.endsWith('+') ? ' with changes' : '')),
    ),
  ];
  const repetitions = groups.map((group) => group.repetitions);
  place('name').textContent = data.name;
  place('what').textContent =
    [
      plural(runs.length, 'run'),
      groups.length > 1
        ? `${plural(groups.length, 'setting')} × ${plural(Math.max(...repetitions), 'repetition')}`
        : plural(repetitions[0], 'repetition'),
      plural(trainings.length, 'training'),
    ].join(' · ') + (new Set(repetitions).size > 1 ? ' (some settings have fewer repetitions)' : '');
  const known = groups.map((group) => group.shared_dim).filter((dim) => dim !== null);
  const software = ['intrinsic-clip', 'torch', 'pytorch-lightning', 'python']
    .map((name) => [name, same(runs.map((run) => run.versions[name]))])
    .filter(([, version]) => version);
  const facts = [
    ['true k*', known.length ? range(known) : 'unknown'],
    ['held-out pairs', range(groups.map((group) => group.n_test))],
    [
      'results of',
      dates[0] === dates[dates.length - 1] ? dates[0] : `${dates[0]} to ${dates[dates.length - 1]}`,
    ],
    ['commit', commits.length > 2 ? `${commits.length} different ones` : commits.join(', ') || 'unknown'],
    ['software', software.map((pair) => pair.join(' ')).join(', ')],
  ];
  place('facts').append(
    ...facts.map(([term, value]) => html('div', {}, html('dt', {}, term), html('dd', {}, value))),
  );
}

function paint() {
  const isDark = dark.matches && !printing;
  palette('g', groups.length, isDark);
  palette('l', Math.max(...families.map((family) => family.lines.length)), isDark);
  palette('s', Math.max(...[null, ...data.axes].map((key) => combinations(key).length)), isDark);
}

const dark = window.matchMedia('(prefers-color-scheme: dark)');
let printing = false;
dark.addEventListener('change', paint);
window.addEventListener('beforeprint', () => {
  printing = true;
  paint();
  document.querySelectorAll('details.group').forEach((details) => {
    details.open = true;
  });
});
window.addEventListener('afterprint', () => {
  printing = false;
  paint();
});

paint();
for (const section of [head, summary, sweep, switches, training, similarities, spectra, settings, runs])
  section();
for (const section of document.querySelectorAll('section'))
  document
    .querySelector('nav')
    .append(html('a', { href: `#${section.id}` }, section.querySelector('h2').textContent));
