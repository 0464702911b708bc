// Every way a call of the control plane can fail, with its HTTP status. Agents never see these.

export const reviewFaults = {
  invalid: 400,
  not_permitted: 403,
  /** requester and approver are the same */
  self_approval: 403,
  /** the wider scope, the longer term or the host is not for this actor */
  scope_not_allowed: 403,
  not_found: 404,
  already_decided: 409,
  /** the approval changed since it was looked at */
  version_conflict: 412,
  comment_required: 422,
  /** the URL stands out, and whoever answers has not said that they looked at it again */
  confirmation_required: 422,
  /** the page could not be fetched, or not be kept; the question stays open */
  fetch_failed: 502,
  audit_unavailable: 503,
} as const

export type ReviewFaultCode = keyof typeof reviewFaults

/** Match on `code`. `message` is one sentence for the caller. */
export class ReviewFault extends Error {
  override readonly name = 'ReviewFault'
  readonly code: ReviewFaultCode

  constructor(code: ReviewFaultCode, message: string) {
    super(message)
    this.code = code
  }
}
