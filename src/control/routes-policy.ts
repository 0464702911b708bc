// Grants and policy: what is open, what policy says and why, and what an admin may make part of it. No policy
// is written here but through a proposal.
import { ProxyError } from '../errors.ts'
import type { ControlContext } from './context.ts'
import { ControlFault } from './problem.ts'
import type { Route } from './route.ts'
import { emptyBody, explainBody, list, named, object, proposalBody } from './schemas.ts'
import { explainJson, grantJson, policyJson, proposalJson } from './wire.ts'

interface ExplainBody {
  readonly url: string
  readonly method?: string
  readonly agent?: string
  readonly team?: string
}

export function grantRoutes({ deps: { desk } }: ControlContext): readonly Route[] {
  return [
    {
      method: 'GET',
      path: '/v1/grants',
      name: 'listGrants',
      summary: 'Grants in force that the caller may see.',
      needs: ['read'],
      answers: { 200: object({ items: list(named.Grant) }) },
      handle: async ({ actor }) => ({ body: { items: desk.grants(actor).map(grantJson) } }),
    },
    {
      method: 'POST',
      path: '/v1/grants/{id}/revoke',
      name: 'revokeGrant',
      summary: 'Revoke a grant, and close what it opened.',
      needs: ['review'],
      headers: ['Idempotency-Key'],
      body: emptyBody,
      answers: { 200: 'Grant' },
      faults: ['not_found', 'not_permitted', 'audit_unavailable'],
      handle: async ({ id, actor }) => ({ body: grantJson(await desk.revoke(id, actor)) }),
    },
  ]
}

export function policyRoutes({ deps: { policy, desk } }: ControlContext): readonly Route[] {
  const stateRoute: Route = {
    method: 'GET',
    path: '/v1/policy',
    name: 'getPolicy',
    summary: 'The policy in force, and what is wrong with its files.',
    needs: ['read'],
    answers: { 200: 'Policy' },
    faults: ['policy_unavailable'],
    handle: async () => {
      const state = policy.state()
      if (state === undefined) throw noPolicy()
      return { body: policyJson(state) }
    },
  }
  const explainRoute: Route<ExplainBody> = {
    method: 'POST',
    path: '/v1/policy/explain',
    name: 'explain',
    summary: 'What the policy in force answers to a URL, and which line says so. Grants are not looked at, no name is resolved.',
    needs: ['read'],
    body: explainBody,
    answers: { 200: 'Explained' },
    faults: ['policy_unavailable', 'target_refused'],
    handle: async ({ body: { url, method = 'GET', agent = 'anonymous', team } }) => {
      try {
        const answer = policy.explain({ url, method: method.toUpperCase(), agent, team })
        if (answer === undefined) throw noPolicy()
        return { body: explainJson(answer) }
      } catch (error) {
        if (!(error instanceof ProxyError)) throw error
        throw new ControlFault('target_refused', `${error.message} (the proxy answers ${error.code})`, { errors: [{ pointer: '/url', message: error.code }] })
      }
    },
  }
  const proposalsRoute: Route = {
    method: 'GET',
    path: '/v1/policy/proposals',
    name: 'listProposals',
    summary: 'Decisions for good that wait for an admin to write them into the policy.',
    needs: ['read'],
    answers: { 200: object({ items: list(named.Proposal) }) },
    handle: async ({ actor }) => ({ body: { items: desk.proposals(actor).map(proposalJson) } }),
  }
  const resolveRoute: Route<{ readonly accept: boolean }> = {
    method: 'POST',
    path: '/v1/policy/proposals/{id}/decision',
    name: 'decideProposal',
    summary: 'Accept a proposal, which writes it into the policy, or reject it.',
    needs: ['administer'],
    headers: ['Idempotency-Key'],
    body: proposalBody,
    answers: { 200: 'Proposal' },
    faults: ['not_found', 'not_permitted', 'already_decided', 'audit_unavailable'],
    handle: async ({ id, body, actor }) => ({ body: proposalJson(await desk.resolveProposal(id, body.accept, actor)) }),
  }
  return [stateRoute, explainRoute, proposalsRoute, resolveRoute]
}

function noPolicy(): ControlFault {
  return new ControlFault('policy_unavailable', 'no valid policy is loaded, so nothing is allowed')
}
