// A report for programs: snake_case, times in RFC 3339, lengths of time in ms. Pure. Nothing is cut but lists of names,
// which hold at most `maxNames`.
import type { HostQuestions } from '../audit/report.ts'
import type { Counts, Ranked } from '../audit/report-counts.ts'
import type { ReportPage } from './report.ts'

const maxNames = 1000

export function reportJson({ report, suggestions, asked, patch }: ReportPage): object {
  const { first, last, records, totals, byHost, byAgent, byTeam, byHour, byCode, rules, monitored, questions, cache, sessions, gaps, policyRejections } = report
  const { waitedMs, byHost: asking, byReviewer, ...answers } = questions
  return {
    first: first ?? null,
    last: last ?? null,
    filter: asked,
    records,
    sessions,
    totals: countsJson(totals),
    by_host: byHost.slice(0, maxNames).map(rankedJson),
    by_agent: byAgent.slice(0, maxNames).map(rankedJson),
    by_team: byTeam.slice(0, maxNames).map(({ name, allowed, asked: askedAbout, denied }) => ({ name, allowed, asked: askedAbout, denied })),
    by_hour: byHour.map(({ atMs, ...counts }) => ({ time: new Date(atMs).toISOString(), ...countsJson(counts) })),
    refusals_by_code: byCode,
    rules: rules.slice(0, maxNames),
    monitored: monitored.slice(0, maxNames),
    questions: {
      ...answers,
      waited_ms: { median: waitedMs.quantile(0.5) ?? null, p90: waitedMs.quantile(0.9) ?? null, longest: waitedMs.count === 0 ? null : waitedMs.longestMs },
      by_host: asking.slice(0, maxNames).map(questionsJson),
      by_reviewer: byReviewer.slice(0, maxNames),
    },
    cache,
    gaps,
    policy_rejections: policyRejections,
    suggestions: {
      always_allowed: suggestions.alwaysAllowed.map(questionsJson),
      always_denied: suggestions.alwaysDenied.map(questionsJson),
      coming_back: suggestions.comingBack.slice(0, maxNames).map(questionsJson),
      never_hit: suggestions.neverHit?.slice(0, maxNames) ?? null,
      policy: patch ?? null,
    },
  }
}

function countsJson({ allowed, asked, denied, bytesFromClient, bytesFromOrigin }: Counts): object {
  return { allowed, asked, denied, bytes_from_client: bytesFromClient, bytes_from_origin: bytesFromOrigin }
}

function rankedJson({ name, ...counts }: Ranked): object {
  return { name, ...countsJson(counts) }
}

function questionsJson({ allowedByPeople, ...rest }: HostQuestions): object {
  return { ...rest, allowed_by_people: allowedByPeople }
}
