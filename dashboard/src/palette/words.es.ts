export const paletteWords = {
  palette: {
    title: 'Ir a o hacer',
    placeholder: 'Página, acción, organización o número…',
    none: 'Nada se llama así. Escribe una página, una acción o un número de seguimiento.',
    trace: (id: string) => `Abrir la traza ${id}`,
    groups: { pages: 'Páginas', actions: 'Acciones' },
  },
};
