// The scenes of the demo: what the agent asks for, who answers, and what came of it. It tells the stage what
// happens as it happens, and decides nothing that a person is there to decide.
import type { JournalRecord } from '../audit/record.ts'
import type { ControlClient } from './control-client.ts'
import { ControlFault } from './control-fault.ts'
import { decide } from './approvals-answer.ts'
import { type Question, type QuestionCard, readQuestion } from './control-wire.ts'
import type { WireAnswer } from './demo-agent.ts'
import type { DemoAnswer, DemoPerson } from './demo-person.ts'
import { demoHosts, type DemoSession, type DemoWorld } from './demo-world.ts'
import { listQuestions, loadCard } from './question-finder.ts'

export const sceneNames = ['allow', 'deny', 'hold_allow', 'hold_deny'] as const
export type SceneName = (typeof sceneNames)[number]

/** What a scene came to. */
export interface SceneEnd {
  readonly scene: SceneName
  readonly host: string
  readonly port: number
  /** status of the last answer that the agent got */
  readonly status: number
  readonly approval: Question | undefined
  /** requests of this scene that reached the origin */
  readonly reachedOrigin: number
  readonly records: readonly JournalRecord[]
}

/** Where the scenes are shown. */
export interface Stage {
  begin(scene: SceneName): void
  /** a sentence between two lines of the wire */
  say(text: string): void
  /** a question waits for a person, who may answer on the page too */
  ask(card: QuestionCard): void
  answered(question: Question): void
  end(end: SceneEnd): void
}

export interface SceneParts {
  readonly world: DemoWorld
  readonly stage: Stage
  readonly reviewer: ControlClient
  /** undefined: the demo answers by itself */
  readonly person: DemoPerson | undefined
  /** waits for an answer as long as it takes */
  readonly patient: DemoSession
  /** gives up soon, as many clients do, and follows its question */
  readonly hasty: DemoSession
  readonly signal: AbortSignal
}

/** What an agent says of itself, as everybody who reads it should remember. */
const statedReason = 'to hand the finished report to the customer'
const refusalComment = 'reports go out through the release job'
const longestWaitSeconds = 20
const settleMs = 20
const settleRounds = 100

export async function playScenes(parts: SceneParts): Promise<readonly SceneEnd[]> {
  const ends: SceneEnd[] = []
  let seq = (await parts.world.recordsAfter(0)).at(-1)?.seq ?? 0
  for (const scene of sceneNames) {
    parts.signal.throwIfAborted()
    const before = parts.world.origin.requests
    parts.stage.begin(scene)
    const { host, answer, approval } = await scripts[scene](parts)
    const records = await settled(parts.world, seq)
    seq = records.at(-1)?.seq ?? seq
    const end = { scene, host, port: parts.world.origin.port, status: answer.status, approval, reachedOrigin: parts.world.origin.requests - before, records }
    parts.stage.end(end)
    ends.push(end)
  }
  return ends
}

interface Played {
  readonly host: string
  readonly answer: WireAnswer
  readonly approval: Question | undefined
}

const scripts: Readonly<Record<SceneName, (parts: SceneParts) => Promise<Played>>> = {
  allow: async ({ world, patient }) => ({ host: demoHosts.allowed, answer: await patient.agent.get(demoHosts.allowed, world.origin.port, '/guide'), approval: undefined }),
  deny: async ({ world, patient }) => ({ host: demoHosts.denied, answer: await patient.agent.get(demoHosts.denied, world.origin.port, '/new'), approval: undefined }),
  hold_allow: holdOnTheWire,
  hold_deny: holdAndFollow,
}

/** The client waits: its CONNECT is answered when the question is. */
async function holdOnTheWire(parts: SceneParts): Promise<Played> {
  const { world, patient, stage, reviewer } = parts
  const host = demoHosts.released
  const answer = patient.agent.get(host, world.origin.port, '/left-pad')
  // it may fail while the question is looked for; that is told below
  answer.catch(() => undefined)
  const { id } = await findOpen(reviewer, host, parts.signal)
  stage.say('no answer yet: the CONNECT is held, nothing was resolved and nothing dialled')
  const approval = await answerQuestion(parts, id, { verdict: 'allow', comment: undefined })
  return { host, answer: await answer, approval }
}

/** The client gives up before anybody answers: 403 `approval_pending`, and the agent follows its own question. */
async function holdAndFollow(parts: SceneParts): Promise<Played> {
  const { world, hasty, stage, reviewer, signal } = parts
  const host = demoHosts.refused
  const first = await hasty.agent.get(host, world.origin.port, '/reports')
  const { items } = await listQuestions(reviewer, { state: undefined, host }, 1, { signal })
  const id = items[0]?.id
  if (id === undefined) return { host, answer: first, approval: undefined }
  stage.say('the question stays open; the agent says what it is for, and follows it')
  await hasty.agent.own('POST', `/approvals/${id}/reason`, statedReason)
  const followed = follow(hasty, id)
  followed.catch(() => undefined)
  const approval = await answerQuestion(parts, id, { verdict: 'deny', comment: refusalComment })
  await followed
  stage.say('it knows the answer now, and sends its request again')
  return { host, answer: await hasty.agent.get(host, world.origin.port, '/reports'), approval }
}

/** Asks until the question is answered, as the hint of the refusal says. */
async function follow({ agent }: DemoSession, id: string): Promise<void> {
  for (;;) {
    const { status, body } = await agent.own('GET', `/approvals/${id}?wait=${longestWaitSeconds}`)
    if (status !== 200 || !body.includes('"state":"pending"')) return
  }
}

async function findOpen(client: ControlClient, host: string, signal: AbortSignal): Promise<Question> {
  for (;;) {
    const { items } = await listQuestions(client, { state: 'pending', host }, 1, { waitSeconds: longestWaitSeconds, signal })
    const [question] = items
    if (question !== undefined) return question
  }
}

/** Resolves to the question as it is once it is answered, here or on the page, or has ended without an answer. */
async function answerQuestion({ reviewer, person, stage, signal }: SceneParts, id: string, own: DemoAnswer): Promise<Question> {
  const card = await loadCard(reviewer, id, signal)
  stage.ask(card)
  const done = new AbortController()
  const either = AbortSignal.any([signal, done.signal])
  const ended = watch(reviewer, card.question, either)
  try {
    const typed = person === undefined ? Promise.resolve(own) : typedAnswer(person, own, stage, either)
    const first = await Promise.race([typed.then((answer) => ({ answer })), ended.then(() => ({ answer: undefined }))])
    if (first.answer !== undefined) await give(reviewer, card.question, first.answer, stage)
    const question = await ended
    stage.answered(question)
    return question
  } finally {
    done.abort()
    await Promise.allSettled([ended])
  }
}

/** What a person typed; the demo's own answer when nobody is there any more, and never when it is cut off. */
async function typedAnswer(person: DemoPerson, own: DemoAnswer, stage: Stage, signal: AbortSignal): Promise<DemoAnswer> {
  const typed = await person.answer(() => stage.say('a allows it, d denies it; words behind it are a comment for the agent'), signal)
  if (typed !== undefined) return typed
  if (signal.aborted) return new Promise<never>(() => undefined)
  stage.say('nobody types any more: the demo answers by itself')
  return own
}

async function give(client: ControlClient, question: Question, { verdict, comment }: DemoAnswer, stage: Stage): Promise<void> {
  const draft = { verdict, term: { kind: 'once' }, subdomains: false, allPorts: false, who: 'session', comment } as const
  const { question: now } = await loadCard(client, question.id)
  try {
    await decide(client, draft, now, undefined)
  } catch (error) {
    // the page was faster, or the question ended: the stage says what it is now
    if (!(error instanceof ControlFault) || (error.code !== 'already_decided' && error.code !== 'version_conflict')) throw error
    stage.say(error.message)
  }
}

async function watch(client: ControlClient, question: Question, signal: AbortSignal): Promise<Question> {
  let now = question
  while (now.state === 'pending') {
    const { status, body } = await client.call('GET', `/v1/approvals/${question.id}`, { unlessVersion: now.version, waitSeconds: longestWaitSeconds, signal })
    if (status === 200) now = readQuestion(body)
  }
  return now
}

/** Records of the scene, once every exchange of it has its end. */
async function settled(world: DemoWorld, after: number): Promise<readonly JournalRecord[]> {
  for (let round = 0; ; round += 1) {
    const records = await world.recordsAfter(after)
    const ended = new Set(records.filter(({ name }) => name === 'sallyport.exchange.ended').map(requestOf))
    const isWhole = records.some(({ name }) => name === 'sallyport.decision')
      && records.every((record) => record.name !== 'sallyport.decision' || ended.has(requestOf(record)))
    if (isWhole || round === settleRounds) return records
    await new Promise((resolve) => { setTimeout(resolve, settleMs) })
  }
}

function requestOf({ attributes }: JournalRecord): unknown {
  return attributes['sallyport.request.id']
}
