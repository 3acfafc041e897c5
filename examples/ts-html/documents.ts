// What Lua has no library for: HTML of strangers made harmless, and a PDF.
import type { Handler, RawHandler } from "@nffi/runtime";
import { PDFDocument, type PDFFont, StandardFonts } from "pdf-lib";
import sanitize from "sanitize-html";

export interface Comment {
  readonly html: string;
  /** Whether links may stay; they open elsewhere and pass nothing on. */
  readonly links?: boolean;
}

/** Leaves what formats text; takes scripts, styles, handlers of events and odd addresses out. */
export const clean: Handler<Comment, { html: string; text: string }> = ({ html, links }) => ({
  html: sanitize(html, {
    allowedTags: ["p", "br", "b", "i", "em", "strong", "ul", "ol", "li", ...(links ? ["a"] : [])],
    allowedAttributes: { a: ["href", "rel", "target"] },
    allowedSchemes: ["https", "mailto"],
    transformTags: {
      a: sanitize.simpleTransform("a", { rel: "nofollow noopener", target: "_blank" }),
    },
  }),
  text: sanitize(html, { allowedTags: [], allowedAttributes: {} }),
});

interface Invoice {
  readonly number: string;
  readonly customer: string;
  readonly items: readonly { readonly what: string; readonly cents: number }[];
}

const A4 = [595.28, 841.89] as const;
const MARGIN = 56;
const LINE = 18;

/** An invoice, as JSON, becomes a PDF: bytes go out as they are. */
const invoice: RawHandler = async (request) => {
  const { number, customer, items } = JSON.parse(request.toString()) as Invoice;
  const pdf = await PDFDocument.create();
  pdf.setTitle(`Invoice ${number}`);
  const regular = await pdf.embedFont(StandardFonts.Helvetica);
  const bold = await pdf.embedFont(StandardFonts.HelveticaBold);
  let page = pdf.addPage([...A4]);
  let y = A4[1] - MARGIN;

  const write = (left: string, right: string, font: PDFFont) => {
    if (y < MARGIN) {
      page = pdf.addPage([...A4]);
      y = A4[1] - MARGIN;
    }
    page.drawText(left, { x: MARGIN, y, size: 12, font });
    const x = A4[0] - MARGIN - font.widthOfTextAtSize(right, 12);
    page.drawText(right, { x, y, size: 12, font });
    y -= LINE;
  };

  write(`Invoice ${number}`, customer, bold);
  y -= LINE;
  for (const { what, cents } of items) write(what, euros(cents), regular);
  write("Total", euros(items.reduce((sum, { cents }) => sum + cents, 0)), bold);
  return await pdf.save();
};

function euros(cents: number): string {
  return `EUR ${(cents / 100).toFixed(2)}`;
}

export default invoice;
