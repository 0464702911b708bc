// Erasing what there is of a person. Only an admin may, and nobody oneself: the call that asks for it is journaled
// under the name of whoever asks, and would begin anew what it ends.
import { isSamePerson } from '../audit/personal.ts'
import type { ErasedThings } from '../config/listening.ts'
import type { ControlContext } from './context.ts'
import { ControlFault } from './problem.ts'
import type { Route } from './route.ts'
import { boolean, describe, integer, label, list, object, string } from './schemas.ts'

interface EraseBody {
  readonly person: string
  readonly dry_run?: boolean
}

const eraseBody = object({ person: describe(label, 'As the owner of a session, or the name on a token') }, { dry_run: describe(boolean, 'Only say what there is') })
const answer = object({
  keys: describe(list(string), 'Ids of the destroyed keys; none of a dry run'),
  records: describe(integer, 'Records of the journal that are sealed with the keys'),
  unsealed: describe(integer, 'Records that name the person in the clear, and stay'),
  sessions: integer, approvals: integer, grants: integer, tokens: integer,
  others: describe(integer, 'Proposals, notifications that wait, kept answers, cached pages, lines and files that were set aside'),
})

export function peopleRoutes({ deps: { erasure } }: ControlContext): readonly Route[] {
  const eraseRoute: Route<EraseBody> = {
    method: 'POST',
    path: '/v1/people/erase',
    name: 'erasePerson',
    summary: 'Destroy the keys of a person, end its sessions and tokens, and take its name out of what else is kept. It cannot be undone; once more does no harm.',
    needs: ['administer'],
    body: eraseBody,
    isRepeatable: true,
    answers: { 200: answer },
    faults: ['already_decided', 'audit_unavailable'],
    handle: async ({ body: { person, dry_run: isDry = false }, actor, request }) => {
      if (isDry) return { body: { keys: [], ...shown(await erasure.look(person)) } }
      if (isSamePerson(actor.name, person)) {
        throw new ControlFault('invalid', 'nobody erases oneself: another admin may, or `sallyport audit erase` while no proxy runs', { errors: [{ pointer: '/person', message: 'is whoever asks' }] })
      }
      const { keys, counts } = await erasure.erase(person, actor.name)
      request.subjectId = keys[0]
      return { body: { keys, ...shown(counts) } }
    },
  }
  return [eraseRoute]
}

function shown({ records, unsealed, sessions, approvals, grants, tokens, others }: ErasedThings): object {
  return { records, unsealed, sessions, approvals, grants, tokens, others }
}
