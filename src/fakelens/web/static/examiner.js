// Two additions to the form of the examiner's report, which works without this script: the report
// that was just written is downloaded, and a case file can be loaded.

const written = document.getElementById("wrote");
if (written) {
  history.replaceState(null, "", location.pathname); // a reload does not download it again
  written.click();
}
document.querySelector("[role=alert]:not([hidden])")?.focus();

const load = document.getElementById("load");
const problem = load.querySelector(".problem");

async function replaceCaseFile() {
  const [file] = document.getElementById("load-file").files;
  const response = await fetch(load.dataset.address, {
    method: "PUT",
    headers: { "Content-Type": "application/toml", Accept: "application/json" },
    body: file,
  });
  if (!response.ok) throw new Error((await response.json()).detail);
  location.assign(`${location.pathname}?saved=true`);
}

load.hidden = false;
load.addEventListener("submit", async (event) => {
  event.preventDefault();
  problem.hidden = true;
  try {
    await replaceCaseFile();
  } catch (error) {
    problem.textContent = `The file was not loaded: ${error.message}.`;
    problem.hidden = false;
  }
});
