/** The whole look of the page; light and dark follow the reader's system. */
export const docsStyle = `
:root { color-scheme: light dark;
  --page: light-dark(#fbfbfa, #15171a); --card: light-dark(#fff, #1c1f23); --line: light-dark(#e3e2de, #2e3338);
  --text: light-dark(#1d2125, #e4e6e8); --soft: light-dark(#5c636a, #9aa3ab); --code: light-dark(#f3f2ef, #24282d);
  --link: light-dark(#0b5cad, #79b8ff); --get: light-dark(#0a6b43, #56c98f); --post: light-dark(#0b5cad, #79b8ff);
  --put: light-dark(#8a5300, #e3b341); --delete: light-dark(#b3261e, #ff8a80); }
* { box-sizing: border-box; }
html { scroll-padding-top: 1rem; scroll-behavior: smooth; }
@media (prefers-reduced-motion: reduce) { html { scroll-behavior: auto; } }
body { margin: 0; background: var(--page); color: var(--text); font: 16px/1.55 system-ui, sans-serif; }
a { color: var(--link); text-underline-offset: .15em; }
:focus-visible { outline: 3px solid var(--link); outline-offset: 2px; border-radius: 3px; }
code, pre, .path { font-family: ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace; font-size: .875em; }
code { background: var(--code); padding: .1em .3em; border-radius: 4px; overflow-wrap: anywhere; }
pre { background: var(--code); border: 1px solid var(--line); border-radius: 8px; padding: .9rem 1rem; margin: .5rem 0 0;
  overflow-x: auto; line-height: 1.5; }
pre code { padding: 0; background: none; overflow-wrap: normal; }
.skip { position: absolute; left: -100vw; background: var(--card); padding: .6rem 1rem; z-index: 2; }
.skip:focus { left: 1rem; top: 1rem; }
.layout { display: grid; grid-template-columns: 17.5rem minmax(0, 1fr); max-width: 78rem; margin: 0 auto; }
nav { position: sticky; top: 0; align-self: start; height: 100vh; overflow-y: auto; padding: 1.5rem 1rem 2rem 1.25rem;
  border-right: 1px solid var(--line); font-size: .9rem; }
nav h2 { font-size: .75rem; letter-spacing: .06em; text-transform: uppercase; color: var(--soft); margin: 1.4rem 0 .35rem; }
nav ul { list-style: none; margin: 0; padding: 0; }
nav li a { display: flex; gap: .5rem; align-items: baseline; padding: .22rem .4rem; border-radius: 5px; color: inherit; text-decoration: none; }
nav li a:hover { background: var(--code); }
main { padding: 1.75rem 2.25rem 5rem; min-width: 0; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 .5rem; letter-spacing: -.015em; }
h1 small { font-size: .875rem; font-weight: 400; color: var(--soft); letter-spacing: 0; margin-left: .5rem; }
h2 { font-size: 1.3rem; margin: 3rem 0 .25rem; letter-spacing: -.01em; text-transform: capitalize; }
h3 { font-size: 1.05rem; margin: 0; }
h4 { font-size: .8rem; letter-spacing: .05em; text-transform: uppercase; color: var(--soft); margin: 1.4rem 0 .3rem; }
.lead { color: var(--soft); margin: 0 0 1rem; max-width: 46rem; }
article { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 1.15rem 1.35rem 1.35rem; margin: 1rem 0 1.5rem; }
.route { display: flex; flex-wrap: wrap; gap: .6rem; align-items: center; margin: .5rem 0 0; }
.path { overflow-wrap: anywhere; }
.method { font: 700 .72rem/1 ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace; letter-spacing: .03em; min-width: 2.6em;
  border: 1px solid currentcolor; border-radius: 4px; padding: .25em .4em; text-align: center; }
nav .method { border: 0; padding: 0; font-size: .65rem; min-width: 2.9em; text-align: left; }
.get { color: var(--get); } .post { color: var(--post); } .put { color: var(--put); } .delete { color: var(--delete); }
.op { float: right; color: var(--soft); font-size: .8rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; }
th { text-align: left; font-weight: 600; color: var(--soft); font-size: .8rem; }
th, td { padding: .45rem .75rem .45rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
th:first-child { width: 27%; } th:nth-child(2) { width: 34%; } table.narrow th:first-child { width: 6rem; } table.narrow th:nth-child(2) { width: auto; }
tr:last-child > td { border-bottom: 0; }
td:first-child { white-space: nowrap; }
.required { color: var(--delete); font-size: .75rem; margin-left: .35rem; }
.note { color: var(--soft); }
details { margin-top: 1rem; }
summary { cursor: pointer; font-weight: 600; font-size: .9rem; width: fit-content; }
@media (max-width: 54rem) {
  .layout { display: block; } main { padding: 1.25rem 1rem 4rem; }
  nav { position: static; height: auto; max-height: 45vh; border-right: 0; border-bottom: 1px solid var(--line); }
  article { padding: 1rem; }
}
`;
