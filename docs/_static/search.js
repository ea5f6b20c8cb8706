/* The service's Content-Security-Policy lets no form be sent; a search is only an address. */

document.addEventListener("submit", (event) => {
  event.preventDefault();
  location.assign(`${event.target.action}?${new URLSearchParams(new FormData(event.target))}`);
});
