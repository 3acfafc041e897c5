export const hello = (req: { name: string }) => ({ greeting: `hello ${req.name}` });
