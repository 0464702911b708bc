// What hostile origins say in HTTP/1.1, for every way that leads to one.
export const fine = 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfine'

// every answer that cannot be read in one way only, and what the client gets
export const answers: [name: string, answer: string][] = [
  ['two Content-Length, equal', 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 4\r\n\r\nevil'],
  ['two Content-Length, different', 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\ncontent-length: 5\r\n\r\nevil!'],
  ['a list as Content-Length', 'HTTP/1.1 200 OK\r\nContent-Length: 4, 4\r\n\r\nevil'],
  ['a signed Content-Length', 'HTTP/1.1 200 OK\r\nContent-Length: +4\r\n\r\nevil'],
  ['a negative Content-Length', 'HTTP/1.1 200 OK\r\nContent-Length: -4\r\n\r\nevil'],
  ['a hexadecimal Content-Length', 'HTTP/1.1 200 OK\r\nContent-Length: 0x4\r\n\r\nevil'],
  ['an empty Content-Length', 'HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\nevil'],
  ['Content-Length and chunked', 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nevil\r\n0\r\n\r\n'],
  ['chunked and Content-Length', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n4\r\nevil\r\n0\r\n\r\n'],
  ['a coding before chunked', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n4\r\nevil\r\n0\r\n\r\n'],
  ['a coding instead of chunked', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\nConnection: close\r\n\r\nevil'],
  ['chunked twice', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nevil\r\n0\r\n\r\n'],
  ['a space before the colon', 'HTTP/1.1 200 OK\r\nContent-Length : 4\r\n\r\nevil'],
  ['a folded field', 'HTTP/1.1 200 OK\r\nX-Fold: a\r\n b\r\nContent-Length: 4\r\n\r\nevil'],
  ['a bare CR in a field', 'HTTP/1.1 200 OK\r\nX-Bad: a\rSet-Cookie: b\r\nContent-Length: 4\r\n\r\nevil'],
  ['a NUL in a field', 'HTTP/1.1 200 OK\r\nX-Bad: a\0b\r\nContent-Length: 4\r\n\r\nevil'],
  ['a field without colon', 'HTTP/1.1 200 OK\r\nnonsense\r\nContent-Length: 4\r\n\r\nevil'],
  ['an upgrade nobody asked for', 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nevil'],
  ['another protocol', 'SSH-2.0-OpenSSH_9.2\r\n'],
  ['HTTP/0.9', 'evil\r\n'],
  ['fields of 2 MiB', `HTTP/1.1 200 OK\r\nX-Big: ${'x'.repeat(2 * 1024 * 1024)}\r\nContent-Length: 4\r\n\r\nevil`],
  ['ten thousand fields', `HTTP/1.1 200 OK\r\n${'X-Many: 1234\r\n'.repeat(10_000)}Content-Length: 4\r\n\r\nevil`],
  ['a thousand interim answers', `${'HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n'.repeat(1000)}${fine}`],
]

// begins well, and breaks
export const broken: [name: string, answer: string][] = [
  ['a chunk size that is not hexadecimal', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\ngood\r\n0x4\r\nevil\r\n0\r\n\r\n'],
  ['a negative chunk size', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\ngood\r\n-4\r\nevil\r\n0\r\n\r\n'],
  ['a chunk size of 17 digits', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\ngood\r\n10000000000000004\r\nevil\r\n0\r\n\r\n'],
  ['chunk data that does not end in CRLF', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\ngoodevil\r\n0\r\n\r\n'],
  ['trailers that frame', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\ngood\r\n0\r\nContent-Length: 9\r\n\r\n'],
  ['a close within a chunk', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\ngood\r\n40\r\nless'],
  ['a close before the last chunk', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\ngood\r\n'],
  ['a close before Content-Length is reached', 'HTTP/1.1 200 OK\r\nContent-Length: 40\r\n\r\ngood'],
]
