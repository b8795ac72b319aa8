// What masks.js makes of masks: bits, both forms again, bounds, and the area that its outline encloses.
async (told) => {
  const masks = await import("./static/masks.js");
  return told.map((rle) => {
    const bitmap = masks.toBitmap(rle);
    const rings = masks.outline(rle).split("Z").filter(Boolean);
    let area = 0;
    for (const ring of rings) {
      let [x, y] = ring.match(/M(\d+) (\d+)/).slice(1).map(Number);
      for (const [, way, n] of ring.matchAll(/([HV])(\d+)/g)) {
        if (way === "H") x = Number(n);
        else { area += x * (Number(n) - y); y = Number(n); }
      }
      const [, , top] = ring.match(/M(\d+) (\d+)/);
      area += x * (Number(top) - y);
    }
    return [[...bitmap.data], masks.fromBitmap(bitmap), masks.fromBitmap(bitmap, true), masks.bounds(rle), area];
  });
}
