declare module '@elastic/mockotlpserver' {
  export class MockOtlpServer {
    constructor(options: { services: string[]; httpHostname: string; httpPort: number; logLevel: string; onLogs: (logs: never) => void })
    readonly httpUrl: URL
    start(): Promise<void>
    close(): Promise<void>
  }
}
