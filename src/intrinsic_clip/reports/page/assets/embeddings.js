// Similarities of pairs and spectra of the embeddings. Both follow the switches.

const MOST_HISTOGRAMS = 12;

function similarities() {
  if (!data.similarities.some(Boolean)) return place('similarities').remove();
  const colours = { positive: 'var(--x)', random: 'var(--y)' };
  const names = { positive: 'positive pairs', random: 'random pairs' };
  place('similarities-legend').append(
    ...legend(Object.keys(names).map((kind) => ({ label: names[kind], colour: colours[kind], area: true }))),
  );
  const redraw = () => {
    const there = groupsOn().flatMap((group) =>
      (data.similarities[group] || []).map((found) => ({ group, found })),
    );
    place('similarities-panels').replaceChildren();
    for (const { group, found } of there.slice(0, MOST_HISTOGRAMS)) {
      const host = html('div');
      const several = data.similarities[group].length > 1;
      const title = [groups[group].label, several && found.of].filter(Boolean).join(' · ');
      place('similarities-panels').append(html('figure', {}, html('h3', {}, title), host));
      chart(host, {
        label: `Similarities of pairs, ${title}`,
        height: 200,
        x: { label: 'similarity', tight: true },
        y: { label: 'density', zero: true },
        series: Object.keys(names).map((kind) => ({
          label: names[kind],
          colour: colours[kind],
          area: true,
          thin: true,
          points: found[kind].map((y, i) => ({ x: found.low + (i + 0.5) * found.width, y })),
        })),
      });
    }
    const one = there.length ? there[0].found : null;
    place('similarities-remark').textContent = [
      one
        ? `Inner products of the representations as the loss sees them, ${one.pairs.toLocaleString('en')} held-out pairs a repetition; ` +
          '0.1 % at either end is not drawn.'
        : 'Nothing is switched on.',
      there.length > MOST_HISTOGRAMS
        ? `The first ${MOST_HISTOGRAMS} of ${there.length} histograms; the switches above choose others.`
        : '',
    ].join(' ');
  };
  listeners.push(redraw);
  redraw();
}

function spectra() {
  if (!data.spectra.some(Boolean)) return place('spectra').remove();
  const names = [...new Set(data.spectra.filter(Boolean).flatMap(Object.keys))];
  place('spectra-legend').append(
    ...legend(names.map((label, j) => ({ label, colour: 'var(--ink)', dash: lineDash(j) }))),
  );
  const redraw = () => {
    const there = groupsOn().filter((group) => data.spectra[group]);
    const series = there.flatMap((group) =>
      Object.keys(data.spectra[group]).map((side) => ({
        label: [groups.length > 1 ? groups[group].label : '', side].filter(Boolean).join(' · '),
        colour: groupColour(group),
        dash: lineDash(names.indexOf(side)),
        dots: there.length <= 6,
        points: data.spectra[group][side].map((share, i) => ({
          x: i + 1,
          y: share !== null && share > 1e-8 ? share : null,
        })),
      })),
    );
    chart(place('spectra-chart'), {
      label: 'Spectra of the embeddings',
      height: 340,
      x: { label: 'principal component', short: 'component', whole: true },
      y: { label: 'share of the variance', log: true },
      series,
      upright: [...new Set(there.map((group) => groups[group].shared_dim).filter(Boolean))],
    });
  };
  place('spectra-remark').textContent =
    'Eigenvalues of the covariance over their sum, mean over repetitions. Colours are those of the switches above.';
  listeners.push(redraw);
  redraw();
}
