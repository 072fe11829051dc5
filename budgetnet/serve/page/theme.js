// A classic script in the head, so that a remembered choice of colours is there before the first paint.
try {
  const kept = localStorage.getItem("budgetnet-theme");
  if (kept === "light" || kept === "dark") document.documentElement.dataset.theme = kept;
} catch {
  // A browser that keeps nothing shows its own choice.
}
