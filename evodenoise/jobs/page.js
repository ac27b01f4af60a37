"use strict";

const list = document.querySelector("main");
const cards = [...list.querySelectorAll(".card")];
const tools = document.querySelector(".tools");
const search = document.querySelector("#search");
const doubtful = document.querySelector("#doubtful");
const told = document.querySelector("#told");
const collator = new Intl.Collator(undefined, { numeric: true });

function split(card, value) {
  card.style.setProperty("--split", `${value}%`);
  for (const slider of card.querySelectorAll(".stack input")) {
    slider.value = value;
    slider.setAttribute("aria-valuetext", `${value} % noisy`);
  }
}

/* What is not known comes last, whichever way. */
function compare(one, other, key, sign) {
  const [a, b] = [one.dataset[key] ?? "", other.dataset[key] ?? ""];
  if (a === "" || b === "") return (a === "") - (b === "");
  return sign * (key === "name" ? collator.compare(a, b) : Number(a) - Number(b));
}

function sort(button) {
  const turned = { up: "down", down: "up" };
  const way = turned[button.dataset.way] ?? button.dataset.first;
  for (const other of tools.querySelectorAll("button")) {
    other.setAttribute("aria-pressed", String(other === button));
    delete other.dataset.way;
  }
  button.dataset.way = way;
  const sign = way === "up" ? 1 : -1;
  cards.sort((one, other) => compare(one, other, button.dataset.key, sign));
  list.append(...cards);
  tell(`sorted by ${button.textContent}, ${way === "up" ? "rising" : "falling"}`);
}

function filter() {
  const wanted = search.value.toLowerCase();
  let shown = 0;
  for (const card of cards) {
    const named = card.dataset.name.toLowerCase().includes(wanted);
    card.hidden = !named || (doubtful.checked && !("doubtful" in card.dataset));
    shown += card.hidden ? 0 : 1;
  }
  tell(`${shown} of ${cards.length} shown`);
}

function tell(words) {
  told.textContent = words;
}

document.addEventListener("input", ({ target }) => {
  if (target.id === "all") cards.forEach((card) => split(card, target.value));
  else if (target === search || target === doubtful) filter();
  else if (target.matches(".stack input")) split(target.closest(".card"), target.value);
});
tools.addEventListener("click", ({ target }) => {
  if (target.matches("button")) sort(target);
});
tools.hidden = false;
