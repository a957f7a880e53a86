// Runs the script that #packed holds as gzip in base64.
(async () => {
  "use strict";
  if (!("DecompressionStream" in window)) {
    const apology = document.getElementById("no-webgl");
    apology.textContent = "The 3-D view needs a browser of 2023 or later.";
    apology.hidden = false;
    return;
  }
  const packed = Uint8Array.from(atob(document.getElementById("packed").textContent), (letter) => letter.charCodeAt(0));
  const unpacked = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  const script = document.createElement("script");
  script.textContent = await new Response(unpacked).text();
  document.body.append(script);
})();
