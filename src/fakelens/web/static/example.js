// The example: offered on the empty page, and by a button at the end of any other page. If the
// server cannot make it, the offer says so, and there is no button.

const offer = document.getElementById("offer");
const again = document.getElementById("again");

// On the empty page, the offer disappears while a job is at work.
export function showExample({ isEmpty, isIdle }) {
  offer.hidden = !isEmpty || !isIdle;
  if (again) again.hidden = isEmpty;
}

export function listenForExample(start) {
  const buttons = document.querySelectorAll(".try");
  const run = async () => {
    buttons.forEach((button) => { button.disabled = true; });
    const done = start();
    document.getElementById("work-title").focus(); // where the progress is shown
    await done;
    buttons.forEach((button) => { button.disabled = false; });
  };
  buttons.forEach((button) => button.addEventListener("click", run));
}
