// Any steps with undoing and doing again between them; gives where undoing all is not the start, or doing all again not the end.
async () => {
  const { createHistory, make } = await import("./static/changes.js");
  const wrong = [];
  let seed = 1;
  const random = (n) => (seed = (seed * 48271) % 2147483647) % n;
  for (let run = 0; run < 300; run++) {
    const content = { labels: [], split: null, review: null };
    for (let id = 1; id <= random(6); id++) content.labels.push({ id, bbox: [id, 1, 1, 1] });
    const history = createHistory();
    const told = () => JSON.stringify(content);
    const start = told();
    const states = [start];
    let fresh = 100;
    for (let step = 0; step < 40; step++) {
      const kind = random(8);
      if (kind === 0 || kind === 1) {
        const entry = kind ? history.redo() : history.undo();
        if (!entry) continue;
        make(content, entry.steps);
        continue;
      }
      const steps = [];
      for (let part = 0; part <= random(3); part++) {
        const label = content.labels[random(content.labels.length || 1)];
        if (steps.some((one) => one.id === label?.id)) continue;
        if (kind === 2 || !label) steps.push({ id: ++fresh, before: null, after: { id: fresh, bbox: [random(9), 0, 1, 1] } });
        else if (kind === 3) steps.push({ id: label.id, before: label, after: null });
        else if (kind === 4) steps.push({ field: "review", before: content.review, after: { state: "reviewed", comment: `${random(9)}` } });
        else if (kind === 5) steps.push({ field: "split", before: content.split, after: `${random(3)}` });
        else steps.push({ id: label.id, before: label, after: { ...label, category: `c${random(5)}`, attributes: { a: random(4) } } });
        if (kind === 4 || kind === 5) break;
      }
      history.push({ title: "", steps: make(content, steps) });
    }
    while (history.canRedo) make(content, history.redo().steps);
    const end = told();
    while (history.canUndo) make(content, history.undo().steps);
    if (told() !== start) wrong.push(["start", run, told(), start]);
    while (history.canRedo) make(content, history.redo().steps);
    if (told() !== end) wrong.push(["end", run, told(), end]);
  }
  return wrong;
}
