// Runs in a page. Texts whose contrast with their ground is below WCAG 2.2 AA: 4.5, or 3 for large text.
function lowContrast() {
  const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true })
  const channels = (color) => {
    canvas.clearRect(0, 0, 1, 1)
    canvas.fillStyle = color
    canvas.fillRect(0, 0, 1, 1)
    return [...canvas.getImageData(0, 0, 1, 1).data]
  }
  const linear = (value) => (value / 255 <= 0.04045 ? value / 255 / 12.92 : ((value / 255 + 0.055) / 1.055) ** 2.4)
  const luminance = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b)
  const groundOf = (element) => {
    if (element === null) return [255, 255, 255, 255]
    const color = channels(getComputedStyle(element).backgroundColor)
    return color[3] === 255 ? color : groundOf(element.parentElement)
  }
  const low = []
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT)
  while (texts.nextNode() !== null) {
    const { parentElement: element, textContent: text } = texts.currentNode
    if (text.trim() === '' || !element.checkVisibility()) continue
    const style = getComputedStyle(element)
    const [a, b] = [luminance(channels(style.color)), luminance(groundOf(element))]
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05)
    const size = Number.parseFloat(style.fontSize)
    const isLarge = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700)
    if (ratio < (isLarge ? 3 : 4.5)) low.push(`${text.trim().slice(0, 40)}: ${ratio.toFixed(2)}`)
  }
  return low
}

lowContrast()
