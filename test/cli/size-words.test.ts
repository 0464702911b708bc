import t from 'tap'
import { cellWidth, fitMiddle } from '../../src/cli/cells.ts'
import { bar, sizeText } from '../../src/cli/size-words.ts'
import * as fc from '../support/property.ts'

t.test('sizes are as people read them', async (t) => {
  const told = [[0, '0 B'], [1023, '1023 B'], [1024, '1.0 KiB'], [1536, '1.5 KiB'], [10_240, '10 KiB'], [5 * 2 ** 30, '5.0 GiB'], [2 ** 52, '4096 TiB']] as const
  for (const [bytes, text] of told) t.equal(sizeText(bytes), text)
})

t.test('a bar never draws something as nothing, nor less as all', async (t) => {
  t.strictSame([bar(0, 10, 4), bar(1, 1000, 4), bar(5, 10, 4), bar(999, 1000, 4), bar(10, 10, 4), bar(11, 10, 4), bar(1, 0, 4)], ['[----]', '[#---]', '[##--]', '[###-]', '[####]', '[####]', '[----]'])
})

t.test('what is cut from its middle keeps both ends, and fits', async (t) => {
  t.equal(fitMiddle('https://docs.example/a/b/c.html', 15), 'https:/…/c.html')
  t.equal(fitMiddle('short', 5), 'short')
  t.equal(fitMiddle('short', 0), '')
  await fc.assert(fc.asyncProperty(fc.string(), fc.integer({ min: 1, max: 40 }), async (text, width) => {
    const plain = text.replaceAll(/[^\x20-\x7e\u4e00-\u9fff]/g, '')
    const cut = fitMiddle(plain, width)
    return cellWidth(cut) <= width && (cut === plain || cut.includes('…'))
  }))
})
