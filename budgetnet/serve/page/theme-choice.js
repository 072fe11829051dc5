/** The choice between light, dark and what the system says, remembered. */

const KEPT = "budgetnet-theme";
const root = document.documentElement;

/** Joins the radio buttons in `themes`; `onChange` is called whenever the colours have changed, whoever changed them. */
export function themeChoice(themes, onChange) {
  const chosen = root.dataset.theme ?? "auto";
  for (const radio of themes.querySelectorAll("input")) {
    radio.checked = radio.value === chosen;
    radio.addEventListener("change", () => {
      choose(radio.value);
      onChange();
    });
  }
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", onChange);
}

function choose(theme) {
  if (theme === "auto") delete root.dataset.theme;
  else root.dataset.theme = theme;
  try {
    if (theme === "auto") localStorage.removeItem(KEPT);
    else localStorage.setItem(KEPT, theme);
  } catch {
    // It holds until the page is left.
  }
}
