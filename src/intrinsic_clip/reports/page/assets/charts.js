// The charts of a result, each in the element of its name. A table below each has the same numbers.

const { charts } = JSON.parse(document.getElementById('data').textContent);

for (const spec of charts) {
  document
    .getElementById(`legend-${spec.id}`)
    .append(
      ...spec.series
        .filter((series) => !series.level)
        .map((series) => html('span', { class: 'key' }, swatch(series), series.label)),
    );
  // The heading has said the title; an image hides its axes from a screen reader, so its name says these.
  const label = `${spec.y.label} over ${spec.x.label}`;
  chart(document.getElementById(`chart-${spec.id}`), { label, height: 290, ...spec });
}
