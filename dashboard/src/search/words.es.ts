export const searchWords = {
  search: {
    label: 'Buscar una traza',
    placeholder: 'Etiqueta, guía aérea, paquete…',
    placeholderLong: 'Etiqueta de equipaje, guía aérea o número de paquete',
    submit: 'Buscar',
    hint: 'Busca por el identificador del viaje o por el del bulto.',
    recent: 'Recientes',
    recentEmpty: 'Las trazas que abras en este navegador aparecerán aquí.',
    clearRecent: 'Borrar recientes',
    looksLike: {
      airWaybill: 'Parece una guía aérea; el dígito de control es correcto.',
      airWaybillBadDigit: 'Parece una guía aérea, pero el dígito de control no coincide: revisa el número.',
      bagTag: 'Parece una etiqueta de equipaje.',
      postal: 'Parece un envío postal; el dígito de control es correcto.',
      postalBadDigit: 'Parece un envío postal, pero el dígito de control no coincide: revisa el número.',
      container: 'Parece un contenedor; el dígito de control es correcto.',
      containerBadDigit: 'Parece un contenedor, pero el dígito de control no coincide: revisa el número.',
      uld: 'Parece una unidad de carga (ULD).',
      other: 'Se buscará tal como está escrito.',
    },
  },
};
