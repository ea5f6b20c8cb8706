/** A form that cannot be sent: why, and which field is at fault. */
export class FormError extends Error {
  /** @param {string} message @param {HTMLElement} field */
  constructor(message, field) {
    super(message);
    this.name = "FormError";
    this.field = field;
  }
}
