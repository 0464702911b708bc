// The closed sets of words of the API, from the rooms that own them.
import { roles } from '../approvals/actor.ts'
import type { ApprovalState } from '../approvals/approval.ts'
import { grantTerms, grantWhos } from '../policy/grant.ts'

export { grantTerms, grantWhos, roles }
export const approvalStates: readonly ApprovalState[] = ['pending', 'allowed', 'denied', 'expired', 'withdrawn']
